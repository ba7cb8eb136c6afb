#pragma once

/// Measures how fast placement decides on a synthetic cluster that is kept full.

#include "actors/host/figures.hpp"

#include <cstdint>
#include <vector>

namespace novacron::scheduler {

struct bench_options {
  std::uint32_t nodes = 1000;
  std::uint32_t decisions = 100'000;
  /// The share of all cores that is held while decisions are taken; one departure makes room for each arrival.
  double fill = 0.95;
  std::uint64_t seed = 1;
};

/// decision_rate, decision_p50, decision_p99, scan (one scan of all nodes beside a pass over the same
/// columns), placed (the share of requests that found a node).
std::vector<host::figure> bench_scheduler(const bench_options& options);

} // namespace novacron::scheduler
