#pragma once

/// Page scan and delta by thirty-two lanes; the decisions are those of kernels/scan.hpp and kernels/delta.hpp.

#include "kernels/device/warp.hpp"
#include "kernels/device/work.hpp"
#include "kernels/scan_steps.hpp"

namespace novacron::kernels::device {

/// A page in the hands of a warp: of each 512 bytes, lane L has the sixteen at 16 L.
inline constexpr auto row_count = 8u;
inline constexpr auto row_size = 16u * lane_count;
struct held_page {
  per_lane<quad> rows[row_count];
};

ON_DEVICE inline std::uint64_t keyed_product(std::uint64_t value, std::uint64_t key) {
  const auto x = value ^ key;
  return (x & 0xFFFFFFFF) * (x >> 32);
}

ON_DEVICE inline std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
  return a * b ^ high_product(a, b);
}

ON_DEVICE inline std::uint64_t mixed(std::uint64_t lane, std::uint64_t key) {
  return (lane ^ (lane >> 47) ^ key) * prime32_1;
}

ON_DEVICE inline std::uint64_t stirred(std::uint64_t sum) {
  sum ^= sum >> 37;
  sum *= 0x165667919E3779F9;
  return sum ^ (sum >> 32);
}

/// A choice, not a table: the device would keep one in slow memory.
ON_DEVICE inline quad start_of(unsigned pair) {
  return {pair == 0   ? hash_start[0]
          : pair == 1 ? hash_start[2]
          : pair == 2 ? hash_start[4]
                      : hash_start[6],
          pair == 0   ? hash_start[1]
          : pair == 1 ? hash_start[3]
          : pair == 2 ? hash_start[5]
                      : hash_start[7]};
}

/// Sums over all lanes whose numbers differ in these bits only.
ON_DEVICE inline void sum_over(const warp& all, per_lane<quad>& x, unsigned from, unsigned to) {
  UNROLL for (auto bit = from; bit <= to; bit *= 2) {
    const auto other = all.other(x, bit);
    all.each([&](unsigned lane) { x[lane] += other[lane]; });
  }
}

/// Within 1024 bytes the stripes of XXH3 only add up, so the lanes take them all at once: a lane has two of the eight
/// sums, of every eighth stripe.
ON_DEVICE inline quad hash_of(const warp& all, const held_page& page, const key_words& key) {
  auto sums = per_lane<quad>{};
  all.each([&](unsigned lane) { sums[lane] = start_of(lane % 4); });
  UNROLL for (auto part = 0u; part < 4; ++part) {
    auto added = per_lane<quad>{};
    all.each([&](unsigned lane) {
      const auto at = lane % 4 * 2;
      added[lane] = {0, 0};
      UNROLL for (auto half = 0u; half < 2; ++half) {
        const auto stripe = 8 * half + lane / 4;
        const auto very_last = part == 3 && stripe == 15;
        const auto* const words = very_last ? key.last + at : key.stripe + stripe + at;
        const auto& value = page.rows[2 * part + half][lane];
        added[lane] += {value.b + keyed_product(value.a, words[0]), value.a + keyed_product(value.b, words[1])};
      }
    });
    sum_over(all, added, 4, 16);
    all.each([&](unsigned lane) {
      sums[lane] += added[lane];
      if (part < 3)
        sums[lane] = {mixed(sums[lane].a, key.stripe[16 + lane % 4 * 2]),
                      mixed(sums[lane].b, key.stripe[17 + lane % 4 * 2])};
    });
  }
  auto ends = per_lane<quad>{};
  all.each([&](unsigned lane) {
    const auto at = lane % 4 * 2;
    ends[lane] = {folded(sums[lane].a ^ key.low[at], sums[lane].b ^ key.low[at + 1]),
                  folded(sums[lane].a ^ key.high[at], sums[lane].b ^ key.high[at + 1])};
  });
  sum_over(all, ends, 1, 2);
  all.each([&](unsigned lane) {
    ends[lane] = {stirred(ends[lane].a + page_size * prime64_1), stirred(ends[lane].b + ~(page_size * prime64_2))};
  });
  return all.from(ends, 0);
}

/// Whether every byte of the page is as its first.
ON_DEVICE inline bool uniform(const warp& all, const held_page& page, std::uint64_t& fill) {
  fill = (all.from(page.rows[0], 0).a & 0xFF) * 0x0101010101010101;
  auto same = per_lane<bool>{};
  all.each([&](unsigned lane) {
    auto other = std::uint64_t{0};
    UNROLL for (auto i = 0u; i < row_count; ++i) other |= (page.rows[i][lane].a ^ fill) | (page.rows[i][lane].b ^ fill);
    same[lane] = other == 0;
  });
  return all.ballot(same) == all_lanes;
}

/// Which words changed: of each row, the first and second words of the lanes. All lanes know it all.
struct changed_words {
  std::uint32_t even[row_count];
  std::uint32_t odd[row_count];
};

/// Puts four bits at every second place.
ON_DEVICE inline std::uint32_t spread(std::uint32_t x) {
  return (x & 1) | (x & 2) << 1 | (x & 4) << 2 | (x & 8) << 3;
}

/// The byte that says which words of a line changed; a row has eight lines.
ON_DEVICE inline std::uint32_t words_of(const changed_words& x, unsigned row, unsigned line) {
  return spread(x.even[row] >> (4 * line) & 15) | spread(x.odd[row] >> (4 * line) & 15) << 1;
}

ON_DEVICE inline changed_words changes(const warp& all, const held_page& page, const std::byte* sent) {
  auto other = held_page{};
  all.each([&](unsigned lane) {
    UNROLL for (auto i = 0u; i < row_count; ++i) other.rows[i][lane] = fresh_quad_at(sent + i * row_size + 16 * lane);
  });
  auto found = changed_words{};
  UNROLL for (auto i = 0u; i < row_count; ++i) {
    auto even = per_lane<bool>{};
    auto odd = per_lane<bool>{};
    all.each([&](unsigned lane) {
      even[lane] = page.rows[i][lane].a != other.rows[i][lane].a;
      odd[lane] = page.rows[i][lane].b != other.rows[i][lane].b;
    });
    found.even[i] = all.ballot(even);
    found.odd[i] = all.ballot(odd);
  }
  return found;
}

ON_DEVICE inline std::uint64_t lines_of(const changed_words& x) {
  auto lines = std::uint64_t{0};
  UNROLL for (auto row = 0u; row < row_count; ++row)
      UNROLL for (auto line = 0u; line < 8; ++line) if (words_of(x, row, line) != 0) lines |=
      std::uint64_t{1} << (8 * row + line);
  return lines;
}

ON_DEVICE inline unsigned count_of(std::uint64_t x) {
  return count_of(static_cast<std::uint32_t>(x)) + count_of(static_cast<std::uint32_t>(x >> 32));
}

ON_DEVICE inline std::uint32_t delta_size(const changed_words& x, std::uint64_t lines) {
  if (lines == 0)
    return 0;
  auto words = 0u;
  UNROLL for (auto row = 0u; row < row_count; ++row) words += count_of(x.even[row]) + count_of(x.odd[row]);
  return 8 + count_of(lines) + 8 * words;
}

ON_DEVICE inline void put_word(std::byte* to, std::uint64_t x) {
  UNROLL for (auto i = 0u; i < 8; ++i) to[i] = static_cast<std::byte>(x >> (8 * i));
}

ON_DEVICE inline void put_delta(const warp& all, const held_page& page, const changed_words& x, std::uint64_t lines,
                                std::byte* out) {
  all.each([&](unsigned lane) {
    if (lane < 8)
      out[lane] = static_cast<std::byte>(lines >> (8 * lane));
    auto* words = out + 8 + count_of(lines);
    UNROLL for (auto row = 0u; row < row_count; ++row) {
      const auto number = 8 * row + lane;
      if (lane < 8 && (lines >> number & 1) != 0)
        out[8 + count_of(lines & ((std::uint64_t{1} << number) - 1))] = static_cast<std::byte>(words_of(x, row, lane));
      auto* own = words + 8 * (count_of(x.even[row] & before(lane)) + count_of(x.odd[row] & before(lane)));
      if ((x.even[row] >> lane & 1) != 0) {
        put_word(own, page.rows[row][lane].a);
        own += 8;
      }
      if ((x.odd[row] >> lane & 1) != 0)
        put_word(own, page.rows[row][lane].b);
      words += 8 * (count_of(x.even[row]) + count_of(x.odd[row]));
    }
  });
}

ON_DEVICE inline void copy_quads(const warp& all, std::byte* to, const std::byte* from, std::uint32_t size) {
  all.each([&](unsigned lane) {
    for (auto at = 16 * lane; at < size; at += row_size)
      put_quad(to + at, quad_at(from + at));
  });
}

/// The same from where each quad takes long to come: several are on their way at once.
ON_DEVICE inline void fetch_quads(const warp& all, std::byte* to, const std::byte* from, std::uint32_t size) {
  constexpr auto together = 4u;
  all.each([&](unsigned lane) {
    for (auto at = 16 * lane; at < size; at += together * row_size) {
      quad held[together];
      UNROLL for (auto i = 0u; i < together; ++i) if (at + i * row_size < size) held[i] =
          quad_at(from + at + i * row_size);
      UNROLL for (auto i = 0u; i < together; ++i) if (at + i * row_size < size)
          put_quad(to + at + i * row_size, held[i]);
    }
  });
}

/// One page of an order: copied, compared with what was sent, and looked at.
ON_DEVICE inline void examine(const warp& all, const examine_order& order, std::uint32_t index) {
  const auto job = order.jobs[index];
  auto page = held_page{};
  auto* const copy = order.pages + std::size_t{index} * page_size;
  all.each([&](unsigned lane) {
    UNROLL for (auto i = 0u; i < row_count; ++i) page.rows[i][lane] = fresh_quad_at(job.now + i * row_size + 16 * lane);
    if (copy != job.now)
      UNROLL for (auto i = 0u; i < row_count; ++i) put_quad(copy + i * row_size + 16 * lane, page.rows[i][lane]);
  });
  auto found = page_finding{.delta_size = delta_none};
  if (job.sent != nullptr) {
    const auto changed = changes(all, page, job.sent);
    const auto lines = lines_of(changed);
    const auto size = delta_size(changed, lines);
    if (size <= order.delta_limit)
      found.delta_size = size;
    if (size > 0 && size <= order.delta_limit) {
      auto* const made = order.scratch + index * delta_room;
      put_delta(all, page, changed, lines, made);
      // Whole rows at once over the bus, not byte by byte.
      copy_quads(all, order.deltas + std::size_t{index} * order.delta_step, made, (size + 15) / 16 * 16);
    }
  }
  if (found.delta_size == delta_none) {
    auto fill = std::uint64_t{0};
    found.uniform = uniform(all, page, fill) ? 1 : 0;
    if (found.uniform != 0) {
      found.fill = static_cast<std::uint8_t>(fill);
    } else {
      const auto hash = hash_of(all, page, order.key);
      found.hash_low = hash.a;
      found.hash_high = hash.b;
    }
  }
  all.each([&](unsigned lane) {
    if (lane == 0)
      order.findings[index] = found;
    if (lane == 0 && index == 0)
      *order.taken = 0;
  });
}

} // namespace novacron::kernels::device
