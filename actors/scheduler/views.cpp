#include "actors/scheduler/reconciler.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace novacron::scheduler {
namespace {

bool ended_for_good(wire::Phase outcome) {
  return outcome == wire::PHASE_COMPLETED || outcome == wire::PHASE_FAILED || outcome == wire::PHASE_STOPPED;
}

std::uint32_t desired_of(const wire::WorkloadRecord& x) {
  if (x.stopped())
    return 0;
  return x.spec().kind() == wire::WORKLOAD_KIND_BATCH ? x.spec().batch().completions() : x.spec().replicas();
}

} // namespace

wire::InstanceStatus reconciler::view(const wire::Instance& x) const {
  auto status = wire::InstanceStatus{};
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  const auto* node = sight_.find(x.node());
  if (seen)
    status = seen->status;
  status.set_name(x.name());
  status.set_epoch(x.epoch());
  status.set_generation(x.generation());
  status.set_node(x.node());
  const auto waiting = waiting_.find(x.name());
  if (ended_for_good(x.outcome())) {
    status.set_phase(x.outcome());
    status.set_exit_code(x.exit_code());
    status.set_reason(x.reason());
  } else if (x.outcome() == wire::PHASE_STOPPING) {
    status.set_phase(wire::PHASE_STOPPING);
    status.set_reason(x.reason());
  } else if (x.node().empty()) {
    status.set_phase(wire::PHASE_PENDING);
    status.set_reason(x.reason());
  } else if (!seen) {
    status.set_phase(wire::PHASE_PLACED);
  }
  if (x.has_move() && x.outcome() == wire::PHASE_UNSPECIFIED)
    status.set_reason(fmt::format("moves to {} while it runs ({})", x.next().node(), x.move().migration()));
  if (waiting != waiting_.end() && !ended_for_good(x.outcome()))
    status.set_reason(waiting->second);
  else if (!ended_for_good(x.outcome()) && node && !node->present())
    status.set_reason(fmt::format("node {} is {}", x.node(), node->lost ? "lost" : "away"));
  return status;
}

wire::WorkloadView reconciler::view(const wire::WorkloadRecord& record) const {
  auto x = wire::WorkloadView{};
  *x.mutable_record() = record;
  x.set_revision(truth_.revision_of("workload/" + record.spec().name()));
  x.set_desired(desired_of(record));
  auto counts = std::map<wire::Phase, std::uint32_t>{};
  auto add = [&](wire::InstanceStatus status) {
    ++counts[status.phase()];
    if (x.reason().empty() && status.phase() != wire::PHASE_RUNNING && status.phase() != wire::PHASE_COMPLETED)
      x.set_reason(status.reason());
    *x.add_instances() = std::move(status);
  };
  const auto& name = record.spec().name();
  const auto& instances = truth_.instances_of(name);
  for (const auto& [ordinal, instance] : instances)
    add(view(*truth_.find_instance(instance)));
  const auto over = record.outcome() != wire::PHASE_UNSPECIFIED;
  for (auto ordinal = 0u; ordinal < x.desired() && !over; ++ordinal)
    if (!instances.contains(ordinal)) {
      auto status = wire::InstanceStatus{};
      status.set_name(instance_name(name, ordinal));
      status.set_phase(wire::PHASE_PENDING);
      if (const auto waiting = waiting_.find(status.name()); waiting != waiting_.end())
        status.set_reason(waiting->second);
      add(std::move(status));
    }
  x.set_running(counts[wire::PHASE_RUNNING]);
  if (over) {
    x.set_phase(record.outcome());
    x.set_reason(record.outcome_reason());
  } else if (record.stopped()) {
    x.set_phase(std::ranges::all_of(x.instances(), [](const auto& i) { return ended_for_good(i.phase()); })
                  ? wire::PHASE_STOPPED
                  : wire::PHASE_STOPPING);
  } else {
    // The phase of the instance that is furthest from where it should be.
    for (const auto phase : {wire::PHASE_FAILED, wire::PHASE_PENDING, wire::PHASE_STOPPING, wire::PHASE_STOPPED,
                             wire::PHASE_PLACED, wire::PHASE_STARTING, wire::PHASE_MIGRATING, wire::PHASE_PAUSED,
                             wire::PHASE_RUNNING, wire::PHASE_COMPLETED})
      if (counts[phase] > 0) {
        x.set_phase(phase);
        break;
      }
  }
  return x;
}

wire::WorkloadList reconciler::list_workloads(const std::string& name) const {
  auto list = wire::WorkloadList{};
  list.set_index(truth_.index);
  if (name.empty())
    for (const auto& [each, record] : truth_.workloads)
      *list.add_workloads() = view(record.value);
  else if (const auto* record = truth_.find_workload(name))
    *list.add_workloads() = view(*record);
  return list;
}

wire::NodeView reconciler::view(const std::string& name, const wire::NodeRecord& record) const {
  auto x = wire::NodeView{};
  *x.mutable_record() = record;
  const auto* seen = sight_.find(name);
  const auto present = sight_.present(name);
  x.set_state(!present ? (seen && seen->lost ? "lost" : "away") : record.drained() ? "drained" : "ready");
  if (seen) {
    x.set_reason(seen->reason);
    *x.mutable_used() = seen->used;
    x.set_last_heard_ms(seen->heard_ms);
  }
  const auto all = to_amount(record.facts().capacity());
  const auto free = cluster_.free_on(name);
  auto reserved = amount{all.cpu_milli - free.cpu_milli, all.memory_bytes - free.memory_bytes,
                         all.disk_bytes - free.disk_bytes, all.gpu_milli / 1000 * 1000 - free.gpu_milli, "", {}};
  for (const auto& [what, count] : all.extra)
    reserved.extra[what] = count - free.extra.at(what);
  *x.mutable_reserved() = to_resources(reserved);
  auto count = 0u;
  for (const auto& instance : truth_.instances_on(name))
    count += !ended_for_good(truth_.find_instance(instance)->outcome());
  x.set_instances(count);
  return x;
}

wire::NodeList reconciler::list_nodes(const std::string& name) const {
  auto list = wire::NodeList{};
  list.set_index(truth_.index);
  if (name.empty())
    for (const auto& [each, record] : truth_.nodes)
      *list.add_nodes() = view(each, record.value);
  else if (const auto found = truth_.nodes.find(name); found != truth_.nodes.end())
    *list.add_nodes() = view(name, found->second.value);
  return list;
}

std::optional<wire::Explanation> reconciler::explain(const std::string& name) const {
  const auto* single = truth_.find_instance(name);
  const auto workload = single ? single->workload() : name.substr(0, name.rfind('.'));
  const auto* record = truth_.find_workload(workload);
  if (!record)
    return std::nullopt;
  auto result = wire::Explanation{};
  const auto add = [&](const std::string& instance) {
    auto& x = *result.add_instances();
    x.set_instance(instance);
    const auto* known = truth_.find_instance(instance);
    if (known)
      x.set_node(known->node());
    // As if it were not there, or its own room and rules would speak against the node that it is on.
    auto without = cluster_;
    for (const auto* copy : {"", "/leaving", "/next"})
      without.release(instance + copy);
    const auto wanted = wanted_for(record->spec(), instance);
    lift_reserved(without, reserved_, reserved_.open_to(wanted));
    const auto why = without.explain(wanted);
    x.set_summary(why.summary);
    if (const auto waiting = waiting_.find(instance); waiting != waiting_.end())
      x.set_summary(waiting->second);
    for (const auto& score : why.scores) {
      auto& line = *x.add_scores();
      line.set_node(score.node);
      line.set_score(score.score);
      for (auto i = std::size_t{0}; i < feature_count; ++i)
        (*line.mutable_features())[std::string{to_string(static_cast<feature>(i))}] = score.values[i];
    }
    for (const auto& refusal : why.refusals) {
      auto& line = *x.add_refusals();
      line.set_node(refusal.node);
      line.set_cause(refusal.cause);
      line.set_detail(refusal.detail);
    }
  };
  if (workload != name)
    add(name);
  else
    // Chosen: replicas differ little, and a message stays below its limit.
    for (auto ordinal = 0u; ordinal < std::min(desired_of(*record), 16u); ++ordinal)
      add(instance_name(workload, ordinal));
  return result;
}

wire::Plan reconciler::plan(const wire::WorkloadSpec& asked) const {
  auto spec = with_defaults(asked);
  if (const auto* known = truth_.find_workload(spec.name()); known && spec.kind() == wire::WORKLOAD_KIND_FUNCTION)
    spec.set_replicas(within(spec.function(), known->spec().replicas()));
  auto plan = wire::Plan{};
  auto cluster = cluster_;
  auto kept = reserved_;
  const auto settle = [&] {
    for (const auto& node : kept.take_changed())
      hold_reserved(cluster, kept, node);
  };
  const auto leave = [&](const std::string& instance) {
    cluster.release(instance);
    kept.undraw(instance);
    settle();
  };
  auto counts = std::map<std::string, int>{};
  auto why = std::string{};
  const auto add = [&](const std::string& instance, const char* action, const std::string& node,
                       const std::string& from, double score, std::string reason) {
    auto& step = *plan.add_steps();
    step.set_instance(instance);
    step.set_action(action);
    step.set_node(node);
    step.set_from(from);
    step.set_score(score);
    step.set_reason(std::move(reason));
    ++counts[action];
  };
  const auto desired = spec.kind() == wire::WORKLOAD_KIND_BATCH ? spec.batch().completions() : spec.replicas();
  const auto& instances = truth_.instances_of(spec.name());
  const auto text = template_of(spec);
  for (const auto& [ordinal, name] : instances) {
    const auto& x = *truth_.find_instance(name);
    if (ordinal >= desired && !ended_for_good(x.outcome()) && !x.node().empty()) {
      add(name, "stop", "", x.node(), 0, "more than desired");
      leave(name);
    }
  }
  for (auto ordinal = 0u; ordinal < desired; ++ordinal) {
    const auto name = instance_name(spec.name(), ordinal);
    const auto* x = truth_.find_instance(name);
    const auto* known = x ? truth_.spec_of(x->workload(), x->generation()) : nullptr;
    const auto placed = x && !x->node().empty() && !ended_for_good(x->outcome());
    if (placed && known && template_of(*known) == text && !on_drained_node(*x)) {
      add(name, "keep", x->node(), "", 0, "");
      continue;
    }
    leave(name);
    auto wanted = wanted_for(spec, name);
    if (placed)
      wanted.home = x->node();
    const auto where = place_reserved(cluster, kept, wanted);
    if (!where) {
      why = cluster.why_not(wanted);
      add(name, "pending", "", placed ? x->node() : "", 0, why);
      continue;
    }
    cluster.take(name, to_hold(spec, where->node, where->gpus));
    kept.draw(name, where->node, wanted);
    settle();
    if (placed)
      add(name, "move", where->node, x->node(), where->score,
          where->node == x->node() ? "starts anew on its node" : "finds its place elsewhere");
    else
      add(name, "start", where->node, "", where->score, "");
  }
  plan.set_feasible(counts["pending"] == 0);
  plan.set_summary(fmt::format("{} to start, {} to move, {} to stop, {} to keep{}", counts["start"], counts["move"],
                               counts["stop"], counts["keep"],
                               why.empty() ? "" : fmt::format(", {} pending; {}", counts["pending"], why)));
  return plan;
}

} // namespace novacron::scheduler
