#include "actors/simulation/reception.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace novacron::simulation {
namespace {

std::filesystem::path make_home() {
  auto name = (std::filesystem::temp_directory_path() / "novacron-simulate.XXXXXX").string();
  if (!::mkdtemp(name.data()))
    throw std::system_error{errno, std::system_category(), "cannot make " + name};
  return name;
}

api::world::answers nobody(std::size_t count) {
  return {count, caf::make_error(fault::unreachable, "no controller runs")};
}

} // namespace

reception::reception(player& of, std::string version)
    : of_{of}, home_{make_home()}, lasting_{api::operations::config{.now = [this] { return wall_ms(); }}} {
  around_.ask = [this](const auto& actors, const auto& question, auto patience) {
    const auto lock = std::lock_guard{turn_};
    auto* at = of_.here().controller();
    if (!at)
      return nobody(actors.size());
    auto found = of_.here().ask(*at, actors, question, patience);
    // Whoever asks again does so after a pause in the real world; the way to an actor is made in the virtual one.
    if (std::ranges::any_of(found, [](const auto& x) { return !x && explain(x.error()).kind == fault::unreachable; }))
      of_.here().advance(std::chrono::milliseconds{50});
    return found;
  };
  around_.unique = [this] {
    const auto lock = std::lock_guard{turn_};
    return fmt::format("virtual-{}", ++names_);
  };
  around_.leaving = [] { return false; };
  around_.metrics = [] { return std::string{}; };
  around_.node = of_.what().plan.hosts.front().name;
  around_.role = of_.what().plan.hosts.front().role;
  around_.version = std::move(version);
  around_.fabric = of_.what().name;
  around_.lasting = &lasting_;
  served_ = std::make_unique<api::server>(api::enter_by_unix(socket()), api::server::config{},
                                          [this](api::request x) { return answer(std::move(x)); });
}

reception::~reception() {
  served_.reset();
  auto unused = std::error_code{};
  std::filesystem::remove_all(home_, unused);
}

std::int64_t reception::wall_ms() {
  const auto lock = std::lock_guard{turn_};
  return of_.here().settings().wall_ms +
         std::chrono::duration_cast<std::chrono::milliseconds>(of_.here().now()).count();
}

api::response reception::answer(api::request asked) {
  // A key of the shell is drawn from the real world's chance. Here each order has its number, so that one history stays
  // one.
  if (const auto key = asked.headers.find("idempotency-key"); key != asked.headers.end()) {
    const auto lock = std::lock_guard{turn_};
    key->second = fmt::format("shell-{}", ++orders_);
  }
  auto found = api::find_route(std::move(asked), around_);
  if (auto* wrong = std::get_if<api::response>(&found))
    return std::move(*wrong);
  try {
    return api::respond(std::get<api::call>(found));
  } catch (const std::exception& problem) {
    return api::problem(500, problem.what(), "unspecified");
  }
}

} // namespace novacron::simulation
