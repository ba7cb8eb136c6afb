#pragma once

/// What a device is handed and hands back: plain words, laid out alike on both sides.

#include "kernels/codec.hpp"
#include "kernels/lz4.hpp"

#include <cstddef>
#include <cstdint>

namespace novacron::kernels::device {

/// The key of a hash, cut into the words that the lanes need.
struct key_words {
  std::uint64_t stripe[24];
  std::uint64_t last[8];
  std::uint64_t low[8];
  std::uint64_t high[8];
};

/// A page to look at. Both addresses are multiples of sixteen; `now` may be where its copy goes, with the copy there.
struct page_job {
  const std::byte* now;
  /// What was sent of it before; nullptr if nothing.
  const std::byte* sent;
};

struct page_finding {
  std::uint64_t hash_low;
  std::uint64_t hash_high;
  /// 0 if it is as it was sent; delta_none if there is no delta, or one above the limit.
  std::uint32_t delta_size;
  std::uint8_t uniform;
  std::uint8_t fill;
  std::uint16_t unused;
};
inline constexpr auto delta_none = ~std::uint32_t{0};

/// Room for one delta while it is made, and the same in the results: whole quads.
inline constexpr auto delta_room = (delta_max + 15) / 16 * 16;

struct examine_order {
  const page_job* jobs;
  page_finding* findings;
  /// Each page is copied here: what is said holds for the copy.
  std::byte* pages;
  /// Set to 0, for the encode_order that comes next.
  std::uint32_t* taken;
  /// delta_room for each page on the device; `delta_step` for each where the host reads.
  std::byte* scratch;
  std::byte* deltas;
  std::uint32_t count;
  std::uint32_t delta_limit;
  std::uint32_t delta_step;
  key_words key;
};

/// Which of the copied pages make a block.
struct encode_job {
  std::uint32_t count;
  std::uint32_t pages[block_pages];
};

struct block_finding {
  std::uint32_t begin;
  std::uint32_t size;
  std::uint32_t raw;
};

/// Room for one block while it is made, whole quads and some to read beyond.
inline constexpr auto block_room = (lz4_bound(lz4_block_max) + 15) / 16 * 16 + 16;

struct encode_order {
  const encode_job* jobs;
  block_finding* findings;
  const std::byte* pages;
  /// block_room for each block on the device, twice: its pages together, and what becomes of them.
  std::byte* together;
  std::byte* scratch;
  /// Where the host reads, and how much of it is taken; each block takes whole quads.
  std::byte* out;
  std::uint32_t* taken;
  std::uint32_t count;
  std::uint32_t raw;
};

struct decode_job {
  /// Where the host put them. If it is a raw block, a multiple of sixteen.
  const std::byte* bytes;
  std::uint32_t size;
  std::uint32_t count;
  std::uint32_t raw;
  /// Where the pages go: multiples of sixteen.
  std::byte* pages[block_pages];
};

struct decode_order {
  const decode_job* jobs;
  /// One word for each block: 1 if it is what it says.
  std::uint32_t* good;
  /// block_room for each block on the device, twice: its bytes, and what becomes of them.
  std::byte* in;
  std::byte* scratch;
  std::uint32_t count;
};

} // namespace novacron::kernels::device
