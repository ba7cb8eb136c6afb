#include "actors/api/operations.hpp"

#include "messages/language.hpp"

#include <algorithm>
#include <utility>

namespace novacron::api {

operations::operations(config settings) : settings_{std::move(settings)} {}

operations::~operations() {
  for (auto& x : all_)
    if (x->thread.joinable())
      x->thread.join();
}

std::shared_ptr<operations::entry> operations::look_up(const std::string& id) const {
  const auto found = std::ranges::find(all_, id, [](const auto& x) { return x->shown.id(); });
  return found == all_.end() ? nullptr : *found;
}

void operations::forget_old() {
  auto ended = std::ranges::count_if(all_, [](const auto& x) { return x->answer.has_value(); });
  for (auto at = all_.begin(); at != all_.end();) {
    auto& x = **at;
    // An answer is the last thing that its thread gives: joining it does not wait.
    if (x.answer && x.thread.joinable())
      x.thread.join();
    if (x.answer && static_cast<std::size_t>(ended) > settings_.ended_max) {
      at = all_.erase(at);
      --ended;
    } else
      ++at;
  }
}

response operations::run(const std::string& id, const std::string& title, work what, std::chrono::milliseconds patience) {
  auto lock = std::unique_lock{guard_};
  auto x = look_up(id);
  if (!x) {
    forget_old();
    const auto running = std::ranges::count_if(all_, [](const auto& each) { return !each->answer; });
    if (static_cast<std::size_t>(running) >= settings_.running_max) {
      auto busy = problem(429, "too many operations run here; see /v1/operations", "overloaded");
      busy.headers["Retry-After"] = "5";
      return busy;
    }
    x = all_.emplace_back(std::make_shared<entry>());
    x->shown.set_id(id);
    x->shown.set_title(title);
    x->shown.set_state("running");
    x->shown.set_started_ms(settings_.now());
    // Not kept alive from inside: an entry goes only after its thread was joined.
    x->thread = std::thread{[this, x = x.get(), what = std::move(what)] {
      auto answer = what();
      const auto inside = std::lock_guard{guard_};
      x->shown.set_ended_ms(settings_.now());
      x->shown.set_status(answer.status);
      x->shown.set_state(answer.status < 400 ? "done" : "failed");
      if (!from_json(answer.body, *x->shown.mutable_result()).empty())
        x->shown.mutable_result()->set_string_value(answer.body);
      x->answer = std::move(answer);
      ended_.notify_all();
    }};
  }
  if (ended_.wait_for(lock, patience, [&] { return x->answer.has_value(); }))
    return *x->answer;
  auto out = response{.status = 202, .type = "application/json", .body = to_json(x->shown), .headers = {}, .stream = {}};
  out.headers["Location"] = "/v1/operations/" + percent_encoded(id);
  return out;
}

std::optional<v1::Operation> operations::find(const std::string& id, std::chrono::milliseconds patience) {
  auto lock = std::unique_lock{guard_};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const auto x = look_up(id);
  if (!x)
    return {};
  ended_.wait_until(lock, deadline, [&] { return x->answer.has_value(); });
  return x->shown;
}

v1::OperationList operations::list() {
  const auto lock = std::lock_guard{guard_};
  auto found = v1::OperationList{};
  for (const auto& x : all_)
    *found.add_operations() = x->shown;
  return found;
}

} // namespace novacron::api
