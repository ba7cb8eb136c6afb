#pragma once

/// LZ4 blocks of the standard format, up to 64 KiB each: any LZ4 decodes ours, and ours decodes any.

#include "kernels/path.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace novacron::kernels {

inline constexpr auto lz4_block_max = std::size_t{65536};

/// The room that a block of `size` bytes may take when nothing in it repeats.
constexpr std::size_t lz4_bound(std::size_t size) {
  return size + size / 255 + 16;
}

/// What the encoder remembers inside a block. Nothing is carried from one block to the next; keeping it saves clearing
/// and finding memory.
struct lz4_table {
  alignas(64) std::array<std::uint16_t, 8192> last{};
};

/// Encodes at most 64 KiB; `out` has room for lz4_bound(in.size()). Returns the size of the block.
std::size_t lz4_encode(std::span<const std::byte> in, std::span<std::byte> out, lz4_table& table);

/// Decodes a block that may have been made by an enemy: nothing is read or written outside the two spans. Returns how
/// many bytes were written, or nothing when the block is no block, or wants more room than there is.
std::optional<std::size_t> lz4_decode(std::span<const std::byte> in, std::span<std::byte> out);

} // namespace novacron::kernels
