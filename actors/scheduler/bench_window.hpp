#pragma once

/// Measures how much of the best possible value is placed in small windows of requests.

#include "actors/host/figures.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace novacron::scheduler {

struct window_options {
  /// The instances, plain or packed with gzip.
  std::string file;
  /// "online": one request at a time, the future unknown. "batch": the whole window at once.
  std::string mode = "online";
  /// One line of choices per instance; nowhere when empty.
  std::string out;
  std::uint64_t seed = 1;
};

/// value (placed, of the optimum), critical and optimal (decisions after which the optimum can still be reached: of
/// those where some fitting node is worse than another, of all), zero_regret (instances with the whole optimum),
/// window_p50 and window_max (seconds an instance takes), decision_p50, violations, and choices with all rows.
std::vector<host::figure> bench_window(const window_options& options);

/// Writes `count` instances of one mix with their exact optima.
void make_windows(const std::string& file, std::size_t count, std::uint64_t seed);

} // namespace novacron::scheduler
