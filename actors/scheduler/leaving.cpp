#include "actors/scheduler/reconcile_round.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

namespace novacron::scheduler {
namespace {

using way = leave_choice::way;

/// The same request, but not for these nodes.
request without(request wanted, const std::vector<std::string>& nodes) {
  if (!nodes.empty())
    wanted.where.push_back({.key = "node", .is = label_rule::relation::not_in, .values = nodes});
  return wanted;
}

std::vector<std::string> joined(std::vector<std::string> some, const std::vector<std::string>& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

} // namespace

/// Since when it may not stay where it is; 0 where that is not known.
std::int64_t reconciler::leaves_since(const wire::Instance& x) const {
  const auto node = truth_.nodes.find(x.node());
  return node == truth_.nodes.end() ? 0 : node->second.value.drained_ms();
}

leave_choice reconciler::choose_leave_of(const wire::WorkloadRecord& record, const wire::Instance& x,
                                         std::int64_t now_ms) const {
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  if (seen && seen->status.phase() == wire::PHASE_MIGRATING)
    return {.how = way::wait, .why = "it has only just come"};
  auto why = why_not_live(x, record.spec());
  if (why.empty() && !settings_.draw_token)
    why = "nothing moves by itself here while it runs";
  if (why.empty() && truth_.outdated(x.workload(), x.generation()))
    why = "it has a new spec, with which it has to be started anyway";
  auto moves = std::vector<const wire::Migration*>{};
  for (const auto& [name, each] : truth_.migrations)
    moves.push_back(&each.value);
  return choose_leave(why, moves, x.name(), x.node(), leaves_since(x), now_ms);
}

/// Has an instance leave its node while it runs, if it can: then its move has begun.
leave_choice reconciler::leave_running(round& r, const wire::WorkloadRecord& record, const wire::Instance& x) {
  auto choice = choose_leave_of(record, x, r.now_ms);
  if (choice.how == way::wait && choice.until_ms > r.now_ms)
    timers_.emplace(r.now + std::chrono::milliseconds{choice.until_ms - r.now_ms}, x.workload());
  if (choice.how != way::live)
    return choice;
  const auto slots = taken_slots(r.now_ms);
  const auto wanted = wanted_for(record.spec(), x.name());
  const auto closed = slots.closed_from(x.node());
  auto where = std::optional<decision>{};
  if (slots.has_free(x.node())) {
    where = find_place(x, without(wanted, joined(closed, choice.failed_at)));
    // To where it could not go before only if there is no other node, not even one whose turn is later.
    if (!where && !choice.failed_at.empty() && !find_place(x, without(wanted, choice.failed_at)))
      where = find_place(x, without(wanted, closed));
  }
  if (where) {
    begin_move(r, record, x, where->node, cause_drain, why_leave(record.spec(), x));
    return choice;
  }
  if (find_place(x, wanted)) {
    awaiting_turn_.insert(x.workload());
    return {.how = way::wait, .why = "other moves of its node, or to where there is room, are under way"};
  }
  return {.how = way::restart, .why = {}};
}

wire::Plan reconciler::plan_drain(const std::string& node) const {
  auto plan = wire::Plan{};
  auto cluster = cluster_;
  if (const auto* known = cluster.find_node(node)) {
    auto shape = *known;
    shape.state = shape.state == node_state::lost ? node_state::lost : node_state::drained;
    cluster.set_node(shape);
  }
  auto kept = reserved_;
  auto counts = std::map<std::string, int>{};
  const auto add = [&](const wire::Instance& x, const char* action, const std::string& to, std::string reason) {
    auto& step = *plan.add_steps();
    step.set_instance(x.name());
    step.set_action(action);
    step.set_node(to);
    step.set_from(node);
    step.set_reason(std::move(reason));
    ++counts[action];
  };
  const auto settle = [&] {
    for (const auto& changed : kept.take_changed())
      hold_reserved(cluster, kept, changed);
  };
  for (const auto& name : truth_.instances_on(node)) {
    const auto& x = *truth_.find_instance(name);
    const auto* record = truth_.find_workload(x.workload());
    if (x.node() != node || !record || (x.outcome() != wire::PHASE_UNSPECIFIED && x.outcome() != wire::PHASE_STOPPING))
      continue;
    if (x.outcome() == wire::PHASE_STOPPING || record->stopped()) {
      add(x, "stop", x.next().node(), x.reason());
      continue;
    }
    if (x.has_move()) {
      add(x, "migrate", x.next().node(), "is on its way already");
      continue;
    }
    for (const auto* copy : {"", "/leaving", "/next"}) {
      cluster.release(name + copy);
      kept.undraw(name + copy);
    }
    settle();
    const auto wanted = wanted_for(record->spec(), name);
    const auto where = place_reserved(cluster, kept, wanted);
    const auto choice = choose_leave_of(*record, x, now_ms_);
    if (!where) {
      add(x, "pending", "", cluster.why_not(wanted));
      continue;
    }
    cluster.take(name, to_hold(record->spec(), where->node, where->gpus));
    kept.draw(name, where->node, wanted);
    settle();
    add(x, choice.how == way::restart ? "move" : "migrate", where->node,
        choice.how == way::live   ? "moves while it runs"
        : choice.how == way::wait ? choice.why
                                  : why_anew(record->spec(), choice));
  }
  plan.set_feasible(counts["pending"] == 0);
  plan.set_summary(plan.steps().empty()
                       ? fmt::format("nothing runs on {}", node)
                       : fmt::format("{} to move while they run, {} to stop and start elsewhere, {} that find no room",
                                     counts["migrate"], counts["move"], counts["pending"]));
  return plan;
}

} // namespace novacron::scheduler
