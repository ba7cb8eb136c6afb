#pragma once

/// How fast workloads find their nodes end to end: through the door of the scheduler, written to a ledger on disk, and
/// told to the nodes.

#include "actors/host/figures.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace novacron::node {

struct bench_placements_options {
  /// The program, and what comes before the arguments of the ledger's process.
  std::vector<std::string> program;
  /// An empty directory on the disk of the ledger.
  std::filesystem::path directory;
  std::uint32_t nodes = 1000;
  std::uint32_t workloads = 10'000;
  /// "Basic", "Affinity", "AntiAffinity", "TopologySpread", "Preemption", "Unschedulable" or "MixedChurn".
  std::string workload = "Basic";
  /// Orders under way at a time when rates are measured.
  std::uint32_t outstanding = 256;
  /// What of all cores is asked for in the end.
  double fill = 0.95;
};

/// placement_rate, rate_first and rate_last (of the first and the last fifth), flatness (the last over the first), all
/// as fast as it goes; placement_p50 and placement_p99 from the order to the assignment that a node was sent, at half
/// of that rate; placed, the share of what was asked for. Throws std::runtime_error when it cannot be measured.
std::vector<host::figure> bench_placements(const bench_placements_options& options);

} // namespace novacron::node
