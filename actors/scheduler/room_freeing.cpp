#include "actors/scheduler/reconcile_round.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace novacron::scheduler {
namespace {

bool is_within(const amount& need, const amount& free) {
  return need.cpu_milli <= free.cpu_milli && need.memory_bytes <= free.memory_bytes &&
         need.disk_bytes <= free.disk_bytes && need.gpu_milli <= free.gpu_milli &&
         std::ranges::all_of(need.extra, [&](const auto& x) {
           const auto left = free.extra.find(x.first);
           return left != free.extra.end() && left->second >= x.second;
         });
}

} // namespace

/// Something ended or left there; nothing where no node is named.
void reconciler::free_on(const std::string& node) {
  if (node.empty())
    return;
  reserved_.heed(node);
  if (!waiting_workloads_.empty())
    freed_.insert(node);
}

/// Who waits is looked at again, if what changed may help: with thousands that wait, most of what ends helps few.
void reconciler::touch_waiting() {
  const auto all = std::exchange(capacity_, false);
  auto free = std::vector<amount>{};
  for (const auto& node : freed_)
    free.push_back(cluster_.free_on(node));
  for (const auto& name : waiting_workloads_)
    if (all || (!freed_.empty() && may_help(name, free)))
      dirty_.insert(name);
  freed_.clear();
}

/// Whether one that waits may find a place by what became free: so much on each of those nodes.
bool reconciler::may_help(const std::string& workload, const std::vector<amount>& free) const {
  const auto found = plain_waits_.find(workload);
  if (found == plain_waits_.end() || cluster_.refuses_any())
    return true;
  const auto& x = found->second;
  const auto* room = making_room_.contains(x.instance) ? cluster_.find_hold(room_key(x.instance)) : nullptr;
  // Who might have somebody moved is helped by room anywhere, unless it is being made already.
  if ((x.preempts && !room) || (room && freed_.contains(room->node)))
    return true;
  return std::ranges::any_of(free, [&](const amount& there) { return is_within(x.need, there); });
}

} // namespace novacron::scheduler
