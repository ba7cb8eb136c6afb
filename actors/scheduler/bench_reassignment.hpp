#pragma once

/// Measures how cheap a reassignment the search finds for an instance of the ROADEF/EURO challenge 2012.

#include "actors/host/figures.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace novacron::scheduler {

struct reassignment_options {
  /// Plain or packed with gzip.
  std::string model;
  std::string initial;
  /// Where the new assignment goes; nowhere when empty.
  std::string out;
  /// From reading the first file to the last figure.
  double seconds = 60;
  /// When set, the search takes that many steps a thread, however long they take.
  std::uint64_t steps = 0;
  unsigned threads = 2;
  std::uint64_t seed = 1;
};

/// initial_cost, final_cost, bound (all machines taken as one), gap (above the bound, in parts of the initial cost),
/// moved, violations, steps, step_rate. Costs and violations are counted anew from the problem.
std::vector<host::figure> bench_reassignment(const reassignment_options& options);

} // namespace novacron::scheduler
