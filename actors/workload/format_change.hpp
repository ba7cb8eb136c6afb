#pragma once

/// Takes a running instance from the driver of one format to the driver of another.

#include "actors/workload/driver.hpp"

#include <chrono>
#include <functional>

namespace novacron::workload {

struct format_change_limits {
  /// For the new format to come up. Chosen: what a machine is given to boot, and a clone before it, and some more.
  std::chrono::milliseconds start = std::chrono::minutes{5};
  /// For everything else that is asked of a driver.
  std::chrono::milliseconds step = std::chrono::minutes{2};
  /// Between looks whether what was killed has gone.
  std::chrono::milliseconds look = std::chrono::milliseconds{20};
};

/// What is told when the run in the new format has begun, before that in the old one has ended.
using changed_hands = std::function<void()>;

/// Blocks until it runs in the new format (`counts` was called then), or runs on in the old one. Gets the new format
/// ready, has the old one stand still, takes its files over, starts the new one, and only then ends the old. `end` is
/// as in driver::convert.
outcome<converted> change_format(driver& source, driver& target, const conversion& what, const driver::over& end,
                                 const changed_hands& counts, const format_change_limits& limits = {});

} // namespace novacron::workload
