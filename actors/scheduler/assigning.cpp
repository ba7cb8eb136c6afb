#include "actors/scheduler/reconcile_round.hpp"

#include <set>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// The copies of an instance that the node shall run, or whose output it keeps. False if there is none.
template <class Assignment>
bool reconciler::add_copies(Assignment& to, const wire::Instance& x, const std::string& node) const {
  const auto before = to.instances_size();
  const auto add = [&](std::uint64_t generation) -> wire::Instance& {
    auto& added = *to.add_instances();
    added = x;
    added.clear_leaving();
    if (const auto* spec = truth_.spec_of(x.workload(), generation))
      *added.mutable_spec() = *spec;
    return added;
  };
  const auto ended = x.outcome() == wire::PHASE_COMPLETED || x.outcome() == wire::PHASE_FAILED;
  if (x.node() == node && (ended || x.outcome() == wire::PHASE_UNSPECIFIED))
    add(x.generation());
  if (x.leaving().node() == node && x.outcome() == wire::PHASE_UNSPECIFIED) {
    auto& former = add(x.leaving().generation());
    former.set_node(node);
    former.set_epoch(x.leaving().epoch());
    former.set_generation(x.leaving().generation());
    *former.mutable_gpus() = x.leaving().gpus();
  }
  if (x.has_move() && x.next().node() == node && x.outcome() == wire::PHASE_UNSPECIFIED) {
    auto& coming = add(x.next().generation());
    coming.set_node(node);
    coming.set_epoch(x.next().epoch());
    coming.set_generation(x.next().generation());
    *coming.mutable_gpus() = x.next().gpus();
    coming.clear_next();
    coming.mutable_move()->set_arrives(true);
    coming.mutable_move()->clear_inlets();
  }
  return to.instances_size() > before;
}

wire::Assign reconciler::whole_assignment(const std::string& node) const {
  auto all = wire::Assign{};
  all.set_node(node);
  all.set_revision(truth_.index);
  all.set_controller(settings_.node);
  all.set_takes_changes(true);
  for (const auto& name : truth_.instances_on(node))
    add_copies(all, *truth_.find_instance(name), node);
  return all;
}

wire::AssignChange reconciler::assignment_change(const std::string& node, std::uint64_t base,
                                                 const std::set<std::string>& of) const {
  auto change = wire::AssignChange{};
  change.set_node(node);
  change.set_revision(truth_.index);
  change.set_controller(settings_.node);
  change.set_base(base);
  for (const auto& name : of)
    if (const auto* x = truth_.find_instance(name); !x || !add_copies(change, *x, node))
      change.add_gone(name);
  return change;
}

std::vector<assignment> reconciler::assign() {
  auto fresh = std::vector<assignment>{};
  if (!leads_)
    return fresh;
  for (auto at = dirty_nodes_.begin(); at != dirty_nodes_.end();) {
    auto& [node, changed] = *at;
    if (!sight_.present(node)) {
      ++at;
      continue;
    }
    const auto sent = sent_.find(node);
    if (sent == sent_.end()) {
      fresh.emplace_back(whole_assignment(node));
      sent_[node] = {.revision = truth_.index, .whole = true};
    } else if (!sent->second.delivered) {
      sent->second.since.merge(changed);
    } else if (!changed.empty()) {
      const auto whole = !sight_.find(node)->takes_changes;
      if (whole)
        fresh.emplace_back(whole_assignment(node));
      else
        fresh.emplace_back(assignment_change(node, sent->second.revision, changed));
      sent->second = {.revision = truth_.index, .whole = whole};
    }
    at = dirty_nodes_.erase(at);
  }
  return fresh;
}

void reconciler::delivered(const std::string& node, std::uint64_t revision) {
  const auto found = sent_.find(node);
  if (found == sent_.end() || found->second.revision != revision)
    return;
  found->second.delivered = true;
  if (!found->second.since.empty())
    dirty_nodes_[node].merge(found->second.since);
}

void reconciler::undelivered(const std::string& node) {
  sent_.erase(node);
  dirty_nodes_[node];
}

} // namespace novacron::scheduler
