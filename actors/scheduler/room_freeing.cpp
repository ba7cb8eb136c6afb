#include "actors/scheduler/reconcile_round.hpp"

#include <algorithm>
#include <utility>

namespace novacron::scheduler {

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
  for (const auto& name : waiting_workloads_)
    if (all || (!freed_.empty() && may_help(name)))
      dirty_.insert(name);
  freed_.clear();
}

/// Whether one that waits may find a place by what became free.
bool reconciler::may_help(const std::string& workload) const {
  const auto found = plain_waits_.find(workload);
  if (found == plain_waits_.end() || cluster_.refuses_any())
    return true;
  const auto& x = found->second;
  const auto* room = making_room_.contains(x.instance) ? cluster_.find_hold(room_key(x.instance)) : nullptr;
  // Who might have somebody moved is helped by room anywhere, unless it is being made already.
  if (x.preempts && !room)
    return true;
  return std::ranges::any_of(freed_, [&](const std::string& node) {
    return (room && node == room->node) || cluster_.has_free(node, x.need);
  });
}

} // namespace novacron::scheduler
