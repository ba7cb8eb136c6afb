#pragma once

/// What the two ends of a stream tell each other besides pages.

#include "kernels/page.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace novacron::migration {

/// The first frame of each stream.
struct hello {
  /// Of the migration: what a target expects, nobody else knows.
  std::array<std::byte, 16> token{};
  std::uint64_t page_count = 0;
  /// Under which pages are hashed, where the target is asked for pages that it has.
  std::uint64_t hash_seed = 0;
  std::uint16_t stream_count = 1;
  bool operator==(const hello&) const = default;
};

inline constexpr auto hello_size = std::size_t{40};
inline constexpr auto stream_count_max = std::uint16_t{64};

std::array<std::byte, hello_size> write(const hello& x);
/// Nothing when it is no hello, or of other pages than 4096 bytes.
std::optional<hello> read_hello(std::span<const std::byte> payload);

/// All that a pass has to say was said on this stream.
struct barrier {
  std::uint32_t pass = 0;
  /// The guest stands still: nothing comes after this pass.
  bool last = false;
  bool operator==(const barrier&) const = default;
};

inline constexpr auto barrier_size = std::size_t{8};

std::array<std::byte, barrier_size> write(const barrier& x);
std::optional<barrier> read_barrier(std::span<const std::byte> payload);

} // namespace novacron::migration
