#include "actors/shell/lasting.hpp"

#include "actors/shell/units.hpp"
#include "actors/shell/views.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <ostream>

namespace novacron::shell {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Chosen: importing or backing up some gigabytes takes minutes on a slow disk.
constexpr auto patience_default = milliseconds{10min};
/// Whoever looks at a clock that stands still does not know whether anything happens.
constexpr auto look_every = milliseconds{1s};

void say_progress(const v1::Operation& x, session& with) {
  if (with.terminal)
    with.err << fmt::format("\r\x1b[K{}: {}", harmless(x.title()), print_age(with.now() - x.started_ms()))
             << std::flush;
}

/// What the operation is answered with; throws what it failed with.
std::string outcome_of(const v1::Operation& x) {
  const auto body = x.has_result() ? json_of(x.result()) : std::string{"{}"};
  if (x.state() == "failed")
    throw problem({.status = static_cast<int>(x.status()), .type = "application/problem+json", .body = body});
  return body;
}

std::string watched(v1::Operation x, const invocation& what, session& with) {
  const auto end = with.waited() + static_cast<std::int64_t>(what.milliseconds("timeout", patience_default.count()));
  const auto told = x.state() == "running" && with.terminal;
  try {
    while (x.state() == "running") {
      const auto left = end - with.waited();
      if (left <= 0)
        throw failure{
            exit_code::timeout,
            fmt::format("it has not ended in time and goes on; see `novacron operation show {}`", harmless(x.id()))};
      say_progress(x, with);
      const auto wait = std::min<std::int64_t>(left, look_every.count());
      x = read<v1::Operation>(
          with.fabric().get(fmt::format("/v1/operations/{}?wait_ms={}", url_encode(x.id()), wait), milliseconds{wait}));
    }
  } catch (const interrupted&) {
    with.err << fmt::format("\nstopped waiting; it goes on (see `novacron operation show {}`)", harmless(x.id()))
             << std::endl;
    throw;
  }
  if (told)
    with.err << "\r\x1b[K" << std::flush;
  return outcome_of(x);
}

} // namespace

std::string lasting(const std::string& path, const std::string& json, const invocation& what, session& with) {
  const auto step = look_every.count();
  const auto reply =
      with.fabric().send("POST", fmt::format("{}?wait_ms={}", path, step), json, look_every, fresh_key());
  if (reply.status == 202)
    return watched(read<v1::Operation>(reply.body), what, with);
  if (reply.status < 200 || reply.status > 299)
    throw problem(reply);
  return reply.body;
}

std::string end_of_operation(const std::string& id, const invocation& what, session& with) {
  return watched(read<v1::Operation>(with.fabric().get("/v1/operations/" + url_encode(id))), what, with);
}

} // namespace novacron::shell
