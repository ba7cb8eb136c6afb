#include "actors/workload/instance_call_actor.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

constexpr auto timeout_usual = std::uint64_t{30'000};
/// How much longer than the handler its usher may take to say so. Chosen: a busy machine does not look hung.
constexpr auto usher_patience = 3s;

std::size_t lanes_max(const wire::FunctionRules& x) {
  return std::max(1u, x.concurrency());
}

std::chrono::milliseconds timeout_of(const wire::FunctionRules& x) {
  return std::chrono::milliseconds{x.timeout_ms() > 0 ? x.timeout_ms() : timeout_usual};
}

bool under_way(const instance_state& s) {
  return std::ranges::any_of(s.lanes, [](const auto& x) { return x.second.promise.has_value(); });
}

void calls_changed(instance_self self) {
  auto& s = self->state;
  if (s.after_calls && !under_way(s))
    std::exchange(s.after_calls, nullptr)();
}

template <class Answer>
void answer(instance_self self, lane_state& lane, Answer&& with) {
  if (lane.promise)
    std::exchange(lane.promise, std::nullopt)->deliver(std::forward<Answer>(with));
  lane.given = false;
  calls_changed(self);
}

wire::Invoked answer_of(instance_self self, const lane_state& lane) {
  auto x = wire::Invoked{};
  x.set_instance(self->state.what.name());
  const auto ran = std::chrono::duration_cast<std::chrono::microseconds>(self->clock().now() - lane.began);
  x.set_ran_usec(static_cast<std::uint64_t>(ran.count()));
  return x;
}

caf::error late(instance_self self) {
  const auto& s = self->state;
  return caf::make_error(fault::timeout, fmt::format("the handler of {} did not answer within {} ms", s.what.name(),
                                                     timeout_of(s.what.spec().function()).count()));
}

/// A lane ends with its process, and with it the handler.
void end_lane(instance_self self, std::uint64_t id, const std::string& why) {
  auto& lanes = self->state.lanes;
  const auto found = lanes.find(id);
  if (found == lanes.end())
    return;
  auto lane = std::move(found->second);
  lanes.erase(found);
  if (!lane.given)
    return answer(self, lane, caf::make_error(fault::conflict, self->state.what.name() + ": " + why));
  auto x = answer_of(self, lane);
  x.set_problem(why);
  answer(self, lane, std::move(x));
}

void feed(instance_self self, std::uint64_t id) {
  const auto found = self->state.lanes.find(id);
  if (found == self->state.lanes.end())
    return;
  auto& lane = found->second;
  lane.input.erase(0, lane.process->write(lane.input));
  // The pipe is full: the usher has yet to read.
  if (!lane.input.empty())
    later(self, 1ms, [self, id] { feed(self, id); });
}

void give(instance_self self, std::uint64_t id) {
  auto& lane = self->state.lanes.at(id);
  const auto limit = timeout_of(self->state.what.spec().function());
  lane.given = true;
  lane.began = self->clock().now();
  lane.input = call_frame(std::exchange(lane.body, {}), limit);
  feed(self, id);
  later(self, limit + usher_patience, [self, id, call = lane.call] {
    auto& lanes = self->state.lanes;
    const auto found = lanes.find(id);
    if (found == lanes.end() || !found->second.given || found->second.call != call)
      return;
    auto lane = std::move(found->second);
    lanes.erase(found);
    answer(self, lane, late(self));
  });
}

/// False when the lane is no more.
bool heed(instance_self self, std::uint64_t id, lane_word word) {
  using enum lane_word::kind;
  auto& lane = self->state.lanes.at(id);
  if (word.what == ready && !std::exchange(lane.ready, true)) {
    if (lane.promise)
      give(self, id);
    return true;
  }
  if (word.what == foreign || !lane.given) {
    end_lane(self, id, "what takes calls inside does not speak as it should");
    return false;
  }
  if (word.what == late) {
    answer(self, lane, workload::late(self));
    return true;
  }
  auto x = answer_of(self, lane);
  if (word.what == answered)
    x.set_body(std::move(word.text));
  else
    x.set_problem(std::move(word.text));
  answer(self, lane, std::move(x));
  return true;
}

void listen(instance_self self, std::uint64_t id);

void hear(instance_self self, std::uint64_t id) {
  const auto found = self->state.lanes.find(id);
  if (found == self->state.lanes.end())
    return;
  auto& lane = found->second;
  const auto now = lane.process->take();
  lane.reader.take(now.out);
  while (auto word = lane.reader.next())
    if (!heed(self, id, std::move(*word)))
      return;
  if (now.exited)
    end_lane(self, id, "what takes calls inside has ended");
  else
    listen(self, id);
}

void listen(instance_self self, std::uint64_t id) {
  self->state.lanes.at(id).process->when_ready([self, id, go = turn_of(self)] { go([self, id] { hear(self, id); }); });
}

std::uint64_t open_lane(instance_self self) {
  auto& s = self->state;
  const auto id = ++s.lane_count;
  s.lanes.emplace(id, lane_state{});
  s.order.driver->serve(s.what.name(), [self, id, go = turn_of(self)](outcome<std::shared_ptr<exec_process>> begun) {
    go([self, id, begun]() mutable {
      const auto found = self->state.lanes.find(id);
      if (found == self->state.lanes.end())
        return;
      if (!begun)
        return end_lane(self, id, begun.why().text);
      found->second.process = std::move(*begun);
      listen(self, id);
    });
  });
  return id;
}

} // namespace

caf::result<wire::Invoked> take_call(instance_self self, const wire::CallInstance& x) {
  auto& s = self->state;
  const auto& spec = s.what.spec();
  if (spec.kind() != wire::WORKLOAD_KIND_FUNCTION)
    return caf::make_error(fault::bad_request, s.what.name() + " is no instance of a function");
  if (x.body().size() > call_bytes_max)
    return caf::make_error(fault::bad_request, fmt::format("a call has at most {} bytes", call_bytes_max));
  if (s.status.phase() != wire::PHASE_RUNNING || s.aim != instance_state::goal::run)
    return caf::make_error(fault::conflict, s.what.name() + " does not run: " + s.status.reason());
  // One that is ready first.
  auto chosen = std::ranges::find_if(s.lanes, [](const auto& x) { return x.second.ready && !x.second.promise; });
  if (chosen == s.lanes.end())
    chosen = std::ranges::find_if(s.lanes, [](const auto& x) { return !x.second.promise; });
  if (chosen == s.lanes.end() && s.lanes.size() >= lanes_max(spec.function()))
    return caf::make_error(fault::overloaded, fmt::format("{} has {} calls already", s.what.name(), s.lanes.size()));
  const auto id = chosen == s.lanes.end() ? open_lane(self) : chosen->first;
  auto& lane = s.lanes.at(id);
  lane.promise = self->make_response_promise<wire::Invoked>();
  lane.call = ++s.call_count;
  lane.body = x.body();
  const auto promise = *lane.promise;
  if (lane.ready)
    give(self, id);
  return promise;
}

void open_first_lane(instance_self self) {
  if (self->state.what.spec().kind() == wire::WORKLOAD_KIND_FUNCTION && self->state.lanes.empty())
    open_lane(self);
}

void after_calls(instance_self self, std::function<void()> what) {
  self->state.after_calls = std::move(what);
  calls_changed(self);
}

void end_lanes(instance_self self, const std::string& why) {
  auto& s = self->state;
  s.after_calls = nullptr;
  while (!s.lanes.empty())
    end_lane(self, s.lanes.begin()->first, why);
}

} // namespace novacron::workload
