#pragma once

/// The steps of a delta that each path brings. Only for deltas.

#include "kernels/path.hpp"

#include <cstddef>
#include <cstdint>

namespace novacron::kernels {

struct delta_steps {
  /// Sets the mask of changed words of each of the 64 lines; returns the mask of changed lines.
  std::uint64_t (*changed)(const std::byte* page, const std::byte* before, std::uint8_t* words);
  /// Copies the changed words of the changed lines; returns the end of what was written. Words that did not change may
  /// be written behind it, within the room of a whole delta.
  std::byte* (*put)(const std::byte* page, std::uint64_t lines, const std::uint8_t* words, std::byte* out);
};

const delta_steps& delta_steps_of(path by);

#if defined(__x86_64__)
extern const delta_steps delta_steps_avx2;
extern const delta_steps delta_steps_avx512;
#endif

} // namespace novacron::kernels
