#pragma once

/// A CUDA driver that is none: its device is a loop on the processor which runs the kernels lane by lane. For machines
/// without a GPU, and to see what happens when a device fails.

#include "kernels/device/cuda_calls.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace novacron::kernels::device {

struct lockstep_state {
  /// Calls so far; those that only give something back cannot fail and are not counted.
  std::size_t call_count = 0;
  /// This call and all after it fail. 0: none.
  std::size_t fails_at = 0;
  /// Lanes take their turns in the other order.
  bool backwards = false;
  /// Whether memory of others may be attached.
  bool attaches = true;
  /// What was taken and not given back, of everything.
  std::size_t held_count = 0;
};

/// One for the process; specs set it back.
lockstep_state& lockstep();

/// What is ordered is done when somebody waits for it, not before.
const cuda_calls& lockstep_calls();

} // namespace novacron::kernels::device
