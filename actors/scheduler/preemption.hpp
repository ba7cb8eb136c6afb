#pragma once

/// Makes room for what is more important: moves what is less important elsewhere, or does nothing at all.

#include "actors/scheduler/placement.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// What is held under a key may move for the sake of something more important: how it would be placed again.
struct displaceable {
  request wanted;
  std::int32_t priority = 0;
};

struct moved {
  std::string key;
  decision where;
};

/// Where the important one goes, and where those go that were in its way. Nobody loses a place without another one.
struct preemption {
  decision where;
  std::vector<moved> victims;
};

struct preemption_config {
  /// How many nodes are tried, those first where the fewest have to move.
  std::size_t nodes_max = 32;
  /// How many may move for one.
  std::size_t victims_max = 16;
};

/// A place for `x` on a node that has too little room, by moving holds of a lower priority than `priority` to nodes
/// that have room for them now; they in turn move nobody. `find` says what a key stands for, nothing when it must stay;
/// its priority is that of the hold.
/// The cluster is as before afterwards.
std::optional<preemption> preempt(cluster& all, const request& x, std::int32_t priority,
                                  const std::function<std::optional<displaceable>(const std::string& key)>& find,
                                  const preemption_config& settings = {});

} // namespace novacron::scheduler
