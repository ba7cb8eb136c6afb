#pragma once

/// LZ4 blocks by thirty-two lanes: any LZ4 decodes ours, and ours decodes any.

#include "kernels/device/scan.hpp"
#include "kernels/device/warp.hpp"
#include "kernels/device/work.hpp"
#include "kernels/lz4.hpp"

namespace novacron::kernels::device {

inline constexpr auto match_min = 4u;
/// As on the processor: no match begins in the last sixteen bytes, and the last five are literals.
inline constexpr auto begin_margin = 16u;
inline constexpr auto end_margin = 5u;

/// As many warps work on one multiprocessor as tables fit into its shared memory; 8 KiB let twenty-five. Measured on an
/// H200: half as fast again as with 16 KiB, and 0.6 to 2 % larger blocks.
inline constexpr auto slot_bits = 12u;
inline constexpr auto slot_count = 1u << slot_bits;

ON_DEVICE inline std::uint32_t slot_of(std::uint64_t five) {
  return static_cast<std::uint32_t>(((five << 24) * 0x9E3779B185EBCA87) >> (64 - slot_bits));
}

/// How many bytes from `a` and `b` on are equal, before `a` reaches `end`. Both are places in `in`.
ON_DEVICE inline std::uint32_t equal_count(const warp& all, const std::byte* in, std::uint32_t a, std::uint32_t b,
                                           std::uint32_t end) {
  for (auto done = 0u;; done += 4 * lane_count) {
    auto other = per_lane<std::uint32_t>{};
    auto ended = per_lane<bool>{};
    all.each([&](unsigned lane) {
      const auto at = done + 4 * lane;
      other[lane] = a + at < end ? word_at(in + a + at) ^ word_at(in + b + at) : 1;
      ended[lane] = other[lane] != 0;
    });
    if (const auto mask = all.ballot(ended); mask != 0) {
      const auto lane = first_of(mask);
      const auto count = done + 4 * lane + first_of(all.from(other, lane)) / 8;
      return a + count < end ? count : end - a;
    }
  }
}

/// How many bytes a lane alone follows a match beyond its first four; longer ones all lanes follow together.
inline constexpr auto own_reach = 12u;

/// How many of the bytes from `a` and `b` on are equal, own_reach at most. Reads as far as word_at(a + 8) does.
ON_DEVICE inline std::uint32_t own_count(const std::byte* a, const std::byte* b) {
  UNROLL for (auto i = 0u; i < own_reach; i += 4) {
    if (const auto other = word_at(a + i) ^ word_at(b + i); other != 0)
      return i + first_of(other) / 8;
  }
  return own_reach;
}

/// How many bytes more than fifteen say what did not fit into the token.
ON_DEVICE inline std::uint32_t rest_size(std::uint32_t length) {
  return length < 15 ? 0 : (length - 15) / 255 + 1;
}

ON_DEVICE inline std::byte token_of(std::uint32_t count, std::uint32_t more) {
  return static_cast<std::byte>((count < 15 ? count : 15) << 4 | (more < 15 ? more : 15));
}

/// Each lane writes its part of one sequence, or of the last one, which has no match: `distance` is 0. Returns where
/// the next begins.
ON_DEVICE inline std::byte* put_sequence(const warp& all, std::byte* out, const std::byte* literals,
                                         std::uint32_t count, std::uint32_t distance, std::uint32_t more) {
  const auto count_rest = rest_size(count);
  const auto more_rest = distance == 0 ? 0 : rest_size(more);
  const auto put_rest = [](std::byte* to, std::uint32_t length, std::uint32_t size, unsigned lane) {
    for (auto i = lane; i < size; i += lane_count)
      to[i] = static_cast<std::byte>(i + 1 < size ? 255 : (length - 15) % 255);
  };
  auto* const text = out + 1 + count_rest;
  auto* const tail = text + count;
  all.each([&](unsigned lane) {
    if (lane == 0)
      *out = token_of(count, distance == 0 ? 0 : more);
    put_rest(out + 1, count, count_rest, lane);
    for (auto i = lane; i < count; i += lane_count)
      text[i] = literals[i];
    if (distance != 0) {
      if (lane < 2)
        tail[lane] = static_cast<std::byte>(distance >> (8 * lane));
      put_rest(tail + 2, more, more_rest, lane);
    }
  });
  return distance == 0 ? tail : tail + 2 + more_rest;
}

/// The same where both lengths fit into the token, as most do: a byte to a lane.
ON_DEVICE inline std::byte* put_short_sequence(const warp& all, std::byte* out, const std::byte* literals,
                                               std::uint32_t count, std::uint32_t distance, std::uint32_t more) {
  all.each([&](unsigned lane) {
    if (lane < count + 3)
      out[lane] = lane == 0       ? token_of(count, more)
                  : lane <= count ? literals[lane - 1]
                                  : static_cast<std::byte>(distance >> (lane == count + 1 ? 0 : 8));
  });
  return out + count + 3;
}

/// What thirty-two lanes know about the places from one on.
struct match_window {
  per_lane<std::uint32_t> source;
  /// Equal bytes beyond the first four, own_reach at most.
  per_lane<std::uint32_t> more;
  /// The lanes that have a match.
  std::uint32_t mask;
  per_lane<std::uint32_t> slot;
  /// The lanes with the same slot.
  per_lane<std::uint32_t> alike;
};

/// Looks for a match at thirty-two places at once.
ON_DEVICE inline match_window look(const warp& all, const std::byte* in, std::uint32_t at, std::uint32_t size,
                                   const std::uint16_t* last) {
  auto window = match_window{};
  auto four = per_lane<std::uint32_t>{};
  all.each([&](unsigned lane) {
    const auto place = at + lane;
    // Lanes beyond the last begin of a match have slots that nobody has.
    window.slot[lane] = slot_count + lane;
    if (place + begin_margin <= size) {
      const auto five = five_at(in + place);
      window.slot[lane] = slot_of(five);
      four[lane] = static_cast<std::uint32_t>(five);
    }
  });
  window.alike = all.alike(window.slot);
  auto found = per_lane<bool>{};
  all.each([&](unsigned lane) {
    const auto nearer = window.alike[lane] & before(lane);
    found[lane] = false;
    if (window.slot[lane] < slot_count) {
      const auto source = nearer != 0 ? at + last_of(nearer) : last[window.slot[lane]];
      window.source[lane] = source;
      found[lane] = source < at + lane && word_at(in + source) == four[lane];
    }
    if (found[lane])
      window.more[lane] = own_count(in + at + lane + match_min, in + window.source[lane] + match_min);
  });
  window.mask = all.ballot(found);
  return window;
}

/// Puts the places of these lanes into `last`; of those with the same slot, the last one.
ON_DEVICE inline void remember(const warp& all, const match_window& window, std::uint32_t lanes, std::uint32_t at,
                               std::uint16_t* last) {
  all.each([&](unsigned lane) {
    if (window.slot[lane] < slot_count && (lanes >> lane & 1) != 0 && (window.alike[lane] & lanes & ~up_to(lane)) == 0)
      last[window.slot[lane]] = static_cast<std::uint16_t>(at + lane);
  });
}

/// Encodes at most 64 KiB, of which seven bytes more can be read. `out` has room for lz4_bound(size), `last` for
/// slot_count places. Returns the size of the block.
///
/// The lanes look at thirty-two places at once, and of their matches each one is taken that begins behind the one
/// before: no place is left out, so more is found than by the steps of the processor.
ON_DEVICE inline std::uint32_t encode(const warp& all, const std::byte* in, std::uint32_t size, std::byte* out,
                                      std::uint16_t* last) {
  const auto* const begin = out;
  all.each([&](unsigned lane) {
    for (auto i = lane; i < slot_count; i += lane_count)
      last[i] = 0;
  });
  auto anchor = 0u;
  for (auto at = 0u; at + begin_margin <= size;) {
    const auto window = look(all, in, at, size, last);
    // Places within a match say nothing new.
    auto within = std::uint32_t{0};
    for (auto mask = window.mask; mask != 0;) {
      const auto first = first_of(mask);
      const auto place = at + first;
      const auto source = all.from(window.source, first);
      auto more = all.from(window.more, first);
      if (more == own_reach)
        more += equal_count(all, in, place + match_min + more, source + match_min + more, size - end_margin);
      const auto room = size - end_margin - place - match_min;
      more = more < room ? more : room;
      const auto count = place - anchor;
      out = count < 15 && more < 15 ? put_short_sequence(all, out, in + anchor, count, place - source, more)
                                    : put_sequence(all, out, in + anchor, count, place - source, more);
      anchor = place + match_min + more;
      const auto done = anchor - at < lane_count ? before(anchor - at) : all_lanes;
      within |= done & ~up_to(first);
      mask &= ~done;
    }
    remember(all, window, ~within, at, last);
    at = anchor > at + lane_count ? anchor : at + lane_count;
  }
  out = put_sequence(all, out, in + anchor, size - anchor, 0, 0);
  return static_cast<std::uint32_t>(out - begin);
}

/// Takes the rest of a length; false when the block ends within it.
ON_DEVICE inline bool take_rest(const std::byte* in, std::uint32_t size, std::uint32_t& at, std::uint32_t& length) {
  while (at < size) {
    const auto part = static_cast<std::uint32_t>(in[at++]);
    length += part;
    if (part != 255)
      return true;
  }
  return false;
}

/// Decodes what may have been made by an enemy into exactly `room` bytes: nothing is read or written elsewhere. False
/// when it is no block, or not of this size; it says so where the processor's decoder does. `look_on` is told now and
/// then how many bytes will not change any more, also of what turns out to be no block.
template <class F>
ON_DEVICE inline bool decode(const warp& all, const std::byte* in, std::uint32_t size, std::byte* out,
                             std::uint32_t room, F&& look_on) {
  auto at = 0u;
  auto made = 0u;
  while (at < size) {
    const auto token = static_cast<std::uint32_t>(in[at++]);
    auto count = token >> 4;
    if (count == 15 && !take_rest(in, size, at, count))
      return false;
    if (size - at < count || room - made < count)
      return false;
    all.each([&](unsigned lane) {
      for (auto i = lane; i < count; i += lane_count)
        out[made + i] = in[at + i];
    });
    at += count;
    made += count;
    if (at == size)
      return made == room;
    if (size - at < 2)
      return false;
    const auto distance = static_cast<std::uint32_t>(in[at]) | static_cast<std::uint32_t>(in[at + 1]) << 8;
    at += 2;
    if (distance == 0 || distance > made)
      return false;
    auto length = token & 15;
    if (length == 15 && !take_rest(in, size, at, length))
      return false;
    length += match_min;
    if (room - made < length)
      return false;
    // Whatever the distance, each byte comes from before the match: a short one repeats itself.
    const auto* const from = out + made - distance;
    all.each([&](unsigned lane) {
      for (auto i = lane; i < length; i += lane_count)
        out[made + i] = from[distance < length ? i % distance : i];
    });
    made += length;
    look_on(made);
  }
  return false;
}

ON_DEVICE inline bool decode(const warp& all, const std::byte* in, std::uint32_t size, std::byte* out,
                             std::uint32_t room) {
  return decode(all, in, size, out, room, [](std::uint32_t) {});
}

/// One block of an order: its pages put together, encoded, and moved to where the host reads.
ON_DEVICE inline void encode(const warp& all, const encode_order& order, std::uint32_t index, std::uint16_t* last) {
  const auto& job = order.jobs[index];
  auto* const pages = order.together + index * block_room;
  auto* const made = order.scratch + index * block_room;
  for (auto i = 0u; i < job.count; ++i)
    copy_quads(all, pages + i * page_size, order.pages + std::size_t{job.pages[i]} * page_size, page_size);
  const auto whole = static_cast<std::uint32_t>(job.count * page_size);
  const auto size = order.raw != 0 ? whole : encode(all, pages, whole, made, last);
  const auto raw = size >= whole;
  auto found = block_finding{.begin = 0, .size = raw ? whole : size, .raw = raw ? 1u : 0u};
  const auto quads = (found.size + 15) / 16 * 16;
  found.begin = all.claim(order.taken, quads);
  copy_quads(all, order.out + found.begin, raw ? pages : made, quads);
  all.each([&](unsigned lane) {
    if (lane == 0)
      order.findings[index] = found;
  });
}

/// One block of an order: decoded, and each of its pages put in its place as soon as it is whole, so that the bus has
/// something to do meanwhile.
ON_DEVICE inline void decode(const warp& all, const decode_order& order, std::uint32_t index) {
  const auto& job = order.jobs[index];
  const auto whole = static_cast<std::uint32_t>(job.count * page_size);
  // Whole quads, and what lies around its bytes with them.
  const auto skipped = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(job.bytes) % 16);
  auto* const in = order.in + index * block_room;
  fetch_quads(all, in, job.bytes - skipped, (skipped + job.size + 15) / 16 * 16);
  auto places = per_lane<std::uint64_t>{};
  all.each(
      [&](unsigned lane) { places[lane] = lane < job.count ? reinterpret_cast<std::uintptr_t>(job.pages[lane]) : 0; });
  auto placed = 0u;
  const auto place = [&](const std::byte* pages, std::uint32_t size) {
    for (; (placed + 1) * page_size <= size; ++placed)
      copy_quads(all, reinterpret_cast<std::byte*>(all.from(places, placed)), pages + placed * page_size, page_size);
  };
  auto good = job.raw != 0 && job.size == whole;
  if (job.raw == 0) {
    auto* const made = order.scratch + index * block_room;
    good = decode(all, in + skipped, job.size, made, whole, [&](std::uint32_t size) { place(made, size); });
    if (good)
      place(made, whole);
  } else if (good) {
    place(in + skipped, whole);
  }
  all.each([&](unsigned lane) {
    if (lane == 0)
      order.good[index] = good ? 1 : 0;
  });
}

} // namespace novacron::kernels::device
