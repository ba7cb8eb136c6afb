#include "actors/scheduler/reconcile_round.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace novacron::scheduler {
namespace {

bool can_be_converted(wire::WorkloadKind kind) {
  return kind == wire::WORKLOAD_KIND_CONTAINER || kind == wire::WORKLOAD_KIND_SANDBOX || kind == wire::WORKLOAD_KIND_VM;
}

} // namespace

// -- services ----------------------------------------------------------------------------------

/// Does what an instance's own state asks for; true when it has to be placed now.
bool reconciler::settle_service(round& r, const wire::WorkloadRecord& record, const wire::Instance& x) {
  const auto& spec = record.spec();
  if (x.outcome() == wire::PHASE_STOPPING)
    return gone(r, x, &spec);
  if (x.outcome() != wire::PHASE_UNSPECIFIED)
    return x.outcome() == wire::PHASE_STOPPED || truth_.outdated(spec.name(), x.generation());
  if (x.node().empty())
    return rested(r, record, x);
  if (!truth_.nodes.contains(x.node()))
    return true;
  if (!sight_.present(x.node()))
    return lost_for_good(r, x, spec, x.node(), x.generation());
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  if (seen && seen->status.phase() == wire::PHASE_FAILED) {
    settle_failure(r, record, x, *seen);
  } else if (seen && seen->status.phase() == wire::PHASE_COMPLETED) {
    write(r, ended(x, wire::PHASE_COMPLETED, seen->status));
  } else if (!x.leaving().node().empty() && available(spec, x)) {
    auto next = x;
    next.clear_leaving();
    write(r, next);
  }
  return false;
}

/// What a node has converted is what the workload is from now on: another generation, which nothing is started again
/// for. True when it was.
bool reconciler::follow_conversion(round& r, const wire::WorkloadRecord& record) {
  const auto& spec = record.spec();
  const auto* x = truth_.find_instance(instance_name(spec.name(), 0));
  if (spec.replicas() != 1 || !x || x->outcome() != wire::PHASE_UNSPECIFIED || x->generation() != record.generation())
    return false;
  const auto* seen = sight_.find(x->node(), x->name(), x->epoch());
  const auto kind = seen ? seen->status.kind() : wire::WORKLOAD_KIND_UNSPECIFIED;
  if (!can_be_converted(spec.kind()) || !can_be_converted(kind) || kind == spec.kind() ||
      !is_live(seen->status.phase()))
    return false;
  auto& former = r.add("generation/" + generation_key(spec.name(), record.generation()), 0);
  former.set_conditional(false);
  former.set_value(spec.SerializeAsString());
  auto next = record;
  next.mutable_spec()->set_kind(kind);
  next.set_generation(record.generation() + 1);
  r.put("workload/" + spec.name(), next, truth_.revision_of("workload/" + spec.name()));
  auto instance = *x;
  instance.set_generation(next.generation());
  write(r, instance);
  tell("instance", x->name(), "converted", "runs in another format");
  return true;
}

void reconciler::converge_service(round& r, const wire::WorkloadRecord& record) {
  if (follow_conversion(r, record))
    return;
  const auto& spec = record.spec();
  const auto ops = r.ops.size();
  auto missing = std::vector<std::uint32_t>{};
  const auto& instances = truth_.instances_of(spec.name());
  for (auto ordinal = 0u; ordinal < spec.replicas(); ++ordinal) {
    const auto found = instances.find(ordinal);
    if (found == instances.end() || settle_service(r, record, *truth_.find_instance(found->second)))
      missing.push_back(ordinal);
  }
  for (auto surplus = instances.rbegin(); surplus != instances.rend() && surplus->first >= spec.replicas(); ++surplus) {
    const auto& x = *truth_.find_instance(surplus->second);
    if (x.outcome() == wire::PHASE_COMPLETED || x.outcome() == wire::PHASE_FAILED)
      remove(r, "instance/" + x.name());
    else
      retire(r, x, wire::PHASE_UNSPECIFIED, "scaled down");
  }
  place_missing(r, record, missing);
  if (r.ops.size() == ops && missing.empty())
    drain_and_update(r, record);
}

/// With a thousand instances each that starts would have the whole of the service looked at, and in vain.
void reconciler::touch_for(const wire::Instance& x, const sighting& news) {
  if (!calm_.contains(x.workload()) || !is_live(news.now.phase()) || news.before.kind() != news.now.kind())
    touch(x.workload());
}

/// Moves and renews what runs, one instance at a time where there are several.
void reconciler::drain_and_update(round& r, const wire::WorkloadRecord& record) {
  const auto& spec = record.spec();
  auto leaving = std::vector<const wire::Instance*>{};
  auto outdated = std::vector<const wire::Instance*>{};
  auto unsettled = false;
  auto calm = true;
  for (const auto& [ordinal, name] : truth_.instances_of(spec.name())) {
    const auto& x = *truth_.find_instance(name);
    const auto placed = x.outcome() == wire::PHASE_UNSPECIFIED && sight_.present(x.node());
    const auto old = truth_.outdated(spec.name(), x.generation());
    unsettled = unsettled || x.outcome() == wire::PHASE_STOPPING || !x.leaving().node().empty();
    calm = calm && placed && x.leaving().node().empty();
    // What is on its way to another node is looked at again when that is over.
    if (!placed || x.has_move())
      continue;
    if (!why_leave(spec, x).empty())
      leaving.push_back(&x);
    else if (old)
      outdated.push_back(&x);
    else
      unsettled = unsettled || !available(spec, x);
  }
  if (calm && leaving.empty() && outdated.empty())
    calm_.insert(spec.name());
  if (unsettled && spec.replicas() > 1)
    return;
  for (const auto* x : leaving)
    if (move_off(r, record, *x, spec.replicas() > 1 && available(spec, *x)))
      return;
  // What does not work anyway is renewed first.
  std::ranges::stable_partition(outdated, [&](const auto* x) { return !available(spec, *x); });
  for (const auto* x : outdated)
    if (update(r, record, *x))
      return;
}

/// While it runs, if it can; else it is stopped, or has another copy take over.
bool reconciler::move_off(round& r, const wire::WorkloadRecord& record, const wire::Instance& x,
                          bool make_before_break) {
  const auto choice = leave_running(r, record, x);
  if (choice.how == leave_choice::way::live)
    return true;
  if (choice.how == leave_choice::way::wait) {
    wait(x.name(), fmt::format("cannot leave {} yet; {}", x.node(), choice.why));
    return false;
  }
  const auto wanted = wanted_for(record.spec(), x.name());
  const auto where = find_place(x, wanted);
  if (!where) {
    wait(x.name(), "cannot leave " + x.node() + " yet; " + why_nowhere(wanted));
    return false;
  }
  auto reason = why_leave(record.spec(), x);
  if (const auto anew = why_anew(record.spec(), choice); !anew.empty())
    reason += "; it is started anew: " + anew;
  shift(r, record, x, *where, reason, make_before_break);
  return true;
}

/// Starts an instance anew with the spec of now: on its node if it can, else it stops first.
bool reconciler::update(round& r, const wire::WorkloadRecord& record, const wire::Instance& x) {
  auto wanted = wanted_for(record.spec(), x.name());
  wanted.home = x.node();
  if (auto why = beyond_quota(record.spec(), x.name()); !why.empty()) {
    wait(x.name(), "its new spec is too much; " + why);
    return false;
  }
  const auto where = find_place(x, wanted);
  if (!where) {
    wait(x.name(), "its new spec finds no place; " + why_nowhere(wanted));
    return false;
  }
  if (where->node == x.node()) {
    write(r, placed(r, record, x.ordinal(), *where));
    return true;
  }
  auto next = x;
  next.set_outcome(wire::PHASE_STOPPING);
  next.set_reason("moves to where its new spec fits");
  write(r, next);
  return true;
}

// -- batch -------------------------------------------------------------------------------------

/// Does what a batch instance's own state asks for; true when it has to be placed now.
bool reconciler::settle_batch(round& r, const wire::WorkloadRecord& record, const wire::Instance& x, bool* live,
                              bool* done) {
  const auto& spec = record.spec();
  const auto ended_here = x.outcome() == wire::PHASE_COMPLETED || x.outcome() == wire::PHASE_FAILED;
  if (truth_.outdated(spec.name(), x.generation())) {
    *live = true;
    if (ended_here)
      remove(r, "instance/" + x.name());
    else
      retire(r, x, wire::PHASE_UNSPECIFIED, "the workload changed");
    return false;
  }
  if (x.outcome() == wire::PHASE_STOPPED)
    return true;
  if (x.outcome() == wire::PHASE_STOPPING) {
    *live = !gone(r, x, &spec);
    return !*live;
  }
  *done = x.outcome() == wire::PHASE_COMPLETED;
  if (ended_here)
    return false;
  if (x.node().empty())
    return rested(r, record, x);
  if (!truth_.nodes.contains(x.node()))
    return true;
  if (!sight_.present(x.node())) {
    *live = !lost_for_good(r, x, spec, x.node(), x.generation());
    return !*live;
  }
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  if (seen && seen->status.phase() == wire::PHASE_COMPLETED) {
    write(r, ended(x, wire::PHASE_COMPLETED, seen->status));
    *done = true;
  } else if (seen && seen->status.phase() == wire::PHASE_FAILED) {
    settle_failure(r, record, x, *seen);
  } else {
    *live = true;
  }
  return false;
}

void reconciler::converge_batch(round& r, const wire::WorkloadRecord& record) {
  const auto& spec = record.spec();
  if (const auto deadline = record.deadline_at_ms(); deadline > 0) {
    if (r.now_ms >= deadline)
      return finish(r, record, wire::PHASE_FAILED, "did not complete before its deadline");
    // Whole milliseconds, so that rounds in between do not add timers.
    timers_.emplace(std::chrono::ceil<std::chrono::milliseconds>(r.now) +
                      std::chrono::milliseconds{deadline - r.now_ms + 1},
                    spec.name());
  }
  const auto& instances = truth_.instances_of(spec.name());
  auto missing = std::vector<std::uint32_t>{};
  auto running = 0u;
  auto completed = 0u;
  const auto ops = r.ops.size();
  for (auto ordinal = 0u; ordinal < spec.batch().completions(); ++ordinal) {
    const auto found = instances.find(ordinal);
    auto live = false;
    auto done = false;
    if (found == instances.end() || settle_batch(r, record, *truth_.find_instance(found->second), &live, &done))
      missing.push_back(ordinal);
    running += live;
    completed += done;
    if (!r.ops.empty() && r.ops.back().key() == "workload/" + spec.name())
      return;
  }
  for (const auto& [ordinal, name] : instances)
    if (ordinal >= spec.batch().completions())
      retire(r, *truth_.find_instance(name), wire::PHASE_UNSPECIFIED, "scaled down");
  if (completed == spec.batch().completions())
    return finish(r, record, wire::PHASE_COMPLETED, fmt::format("all {} completed", completed));
  const auto room = running < spec.batch().parallelism() ? spec.batch().parallelism() - running : 0u;
  missing.resize(std::min<std::size_t>(missing.size(), room));
  place_missing(r, record, missing);
  if (r.ops.size() != ops)
    return;
  for (const auto& [ordinal, name] : instances)
    if (const auto& x = *truth_.find_instance(name); x.outcome() == wire::PHASE_UNSPECIFIED && !why_leave(spec, x).empty())
      move_off(r, record, x, false);
}

} // namespace novacron::scheduler
