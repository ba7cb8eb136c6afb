#pragma once

/// The steps of a scan that each path brings, and the constants they share with the device. Only for scans.

#include "kernels/page.hpp"
#include "kernels/path.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace novacron::kernels {

inline constexpr auto prime32_1 = std::uint64_t{0x9E3779B1};
inline constexpr auto prime32_2 = std::uint64_t{0x85EBCA77};
inline constexpr auto prime32_3 = std::uint64_t{0xC2B2AE3D};
inline constexpr auto prime64_1 = std::uint64_t{0x9E3779B185EBCA87};
inline constexpr auto prime64_2 = std::uint64_t{0xC2B2AE3D27D4EB4F};
inline constexpr auto prime64_3 = std::uint64_t{0x165667B19E3779F9};
inline constexpr auto prime64_4 = std::uint64_t{0x85EBCA77C2B2AE63};
inline constexpr auto prime64_5 = std::uint64_t{0x27D4EB2F165667C5};

inline constexpr auto hash_start = std::array<std::uint64_t, 8>{prime32_3, prime64_1, prime64_2, prime64_3,
                                                                prime64_4, prime32_2, prime64_5, prime32_1};

/// 64 bytes are a stripe; each of the sixteen stripes of a block takes the secret eight bytes further on.
inline constexpr auto stripe_size = std::size_t{64};
inline constexpr auto block_stripes = std::size_t{16};
inline constexpr auto block_size = block_stripes * stripe_size;
/// Where in the secret the lanes are mixed after a block, where the very last stripe takes its key, and where the two
/// halves of the hash take theirs.
inline constexpr auto mix_offset = std::size_t{192 - 64};
inline constexpr auto last_offset = std::size_t{192 - 64 - 7};
inline constexpr auto low_offset = std::size_t{11};
inline constexpr auto high_offset = std::size_t{192 - 64 - 11};

struct scan_steps {
  /// Whether every byte of the page is `fill`.
  bool (*uniform)(const std::byte* page, std::uint8_t fill);
  /// The eight lanes of XXH3 after the whole page.
  void (*lanes)(const std::byte* page, const std::byte* secret, std::uint64_t* lanes);
  /// The same, of what is copied to `to`: each byte is read once.
  void (*copy_lanes)(const std::byte* page, std::byte* to, const std::byte* secret, std::uint64_t* lanes);
};

const scan_steps& scan_steps_of(path by);

#if defined(__x86_64__)
extern const scan_steps scan_steps_avx2;
extern const scan_steps scan_steps_avx512;
#elif defined(__aarch64__)
extern const scan_steps scan_steps_neon;
#endif

} // namespace novacron::kernels
