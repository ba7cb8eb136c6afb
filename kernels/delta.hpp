#pragma once

/// What changed in a page since it was last sent.

#include "kernels/page.hpp"
#include "kernels/path.hpp"

#include <cstddef>
#include <span>

namespace novacron::kernels {

/// A delta is: eight bytes, of which bit L says whether line L (64 bytes) changed; for each changed line in order one
/// byte, of which bit W says whether word W (8 bytes) of it changed; then the new words in order. No change is no
/// bytes. It holds new values, not differences: applying one twice does no harm.
inline constexpr auto delta_max = std::size_t{8 + 64 + page_size};

/// `out` has room for delta_max bytes. Returns the size, 0 if the pages are equal.
std::size_t delta_encode(const std::byte* page, const std::byte* before, std::byte* out, path by = best_path());

/// Makes the page out of the one before. What is not exactly a delta changes nothing and answers false.
bool delta_apply(std::span<const std::byte> delta, std::byte* page);

} // namespace novacron::kernels
