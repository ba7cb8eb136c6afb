#pragma once

/// What every kernel agrees on: the page, its hash, and what a scan says about it.

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace novacron::kernels {

static_assert(std::endian::native == std::endian::little, "hashes, deltas and LZ4 blocks are little-endian throughout");

inline constexpr auto page_size = std::size_t{4096};

/// XXH3's 128 bits over the page. Not a proof of equality against somebody who chooses the pages and knows the key.
struct page_hash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const page_hash&) const = default;
};

/// What a scan says about one page.
struct page_mark {
  /// All zero bits for a uniform page, which needs no hash.
  page_hash hash;
  /// Every byte of the page is `fill`.
  bool uniform = false;
  std::uint8_t fill = 0;
  bool operator==(const page_mark&) const = default;
};

/// Reads and writes at any address; one instruction each.
template <class T>
T load(const std::byte* from) {
  T x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
template <class T>
void store(std::byte* to, T x) {
  std::memcpy(to, &x, sizeof x);
}

} // namespace novacron::kernels
