#pragma once

/// How fast the ledger commits, beside the bare log library; and how long it is without a leader when one is killed.

#include "actors/host/figures.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace novacron::ledger {

struct bench_options {
  /// The program, and what comes before the server's own arguments.
  std::vector<std::string> program;
  /// An empty directory on the disk to be measured; cleared at the end.
  std::filesystem::path directory;
  /// Voters' certificates, one directory for each of "voter-1", "voter-2", "voter-3"; empty means plain TCP.
  std::filesystem::path trust;
  double seconds_each = 1.0;
  std::uint32_t rounds = 5;
  std::uint32_t kills = 20;
  std::uint64_t seed = 1;
};

/// Throws std::runtime_error when the ledger cannot be started.
std::vector<host::figure> bench_ledger(const bench_options& options);

/// Part of the above: three voters under load whose leader is killed again and again.
struct failover_report {
  std::vector<double> seconds_without;
  std::uint64_t acknowledged = 0;
  std::uint64_t lost = 0;
  /// As `ledger check` reads it.
  std::string history;
  bool linearizable = false;
  std::string verdict;
};
failover_report measure_failover(const bench_options& options);

} // namespace novacron::ledger
