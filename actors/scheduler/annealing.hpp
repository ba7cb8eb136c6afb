#pragma once

/// Searches for a cheap reassignment by simulated annealing over moves and swaps.

#include "actors/scheduler/reassignment.hpp"

#include <cstdint>
#include <functional>

namespace novacron::scheduler {

/// The share of the budget that is used up after so many steps; the search ends at 1. Asked every 1024 steps: by the
/// steps themselves where one history must come out of one seed, or by a clock.
using budget_share = std::function<double(std::uint64_t steps)>;

struct annealing_options {
  std::uint64_t seed = 1;
  /// What transient room costs while it is hot, in mean load weights; 0 suits instances without transient resources.
  double room_price = 3;
};

struct annealed {
  assignment where;
  std::uint64_t steps = 0;
};

/// Starts at home. Every assignment on the way keeps all rules; what comes back costs at most what home does.
annealed anneal(const reassignment& problem, const annealing_options& options, const budget_share& spent);

/// As many steps as stated.
budget_share steps_budget(std::uint64_t steps);

} // namespace novacron::scheduler
