#pragma once

/// Many seeds of one scenario, in several processes; and the fewest faults with which a failing seed still fails.

#include "actors/simulation/player.hpp"

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace novacron::simulation {

/// What is kept of a run under one seed.
struct seed_result {
  std::uint64_t seed = 0;
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  std::size_t violations = 0;
  /// The first violation in words; that the run broke off, if it did.
  std::string first;
  coverage_table operations;
  coverage_table arrivals;
};

/// Plays `what` under each seed from `first` to `last` in `jobs` processes, so that a run that breaks off breaks
/// nothing else. `told` is called for each result as it comes.
void run_swarm(const scenario& what, std::uint64_t first, std::uint64_t last, unsigned jobs, bool coverage,
               const std::function<void(const seed_result&)>& told);

/// Leaves faults out of a failing run while it still fails; returns the faults that can be spared.
/// `fails` plays a run without those faults.
std::set<std::uint32_t> shrink(const std::vector<std::uint32_t>& faults,
                               const std::function<bool(const std::set<std::uint32_t>& spared)>& fails);

} // namespace novacron::simulation
