#include "kernels/lz4.hpp"

#include "kernels/page.hpp"

namespace novacron::kernels {
namespace {

using bytes = const std::byte*;

constexpr auto match_min = std::ptrdiff_t{4};
/// What the short form of a sequence may read, with the token after it, and write: 16 + 2 + 1 and 14 + 18 bytes.
constexpr auto short_in = std::ptrdiff_t{19};
constexpr auto short_out = std::ptrdiff_t{32};

/// Adds the rest of a length to `count`; false when the block ends within it.
inline bool take_rest(bytes& in, bytes end, std::ptrdiff_t& count) {
  while (in < end) {
    const auto part = std::to_integer<std::ptrdiff_t>(*in++);
    count += part;
    if (part != 255)
      return true;
  }
  return false;
}

/// Copies in steps of sixteen and writes up to fifteen bytes too many.
inline void copy_steps(std::byte* to, bytes from, const std::byte* end) {
  do {
    std::memcpy(to, from, 16);
    to += 16;
    from += 16;
  } while (to < end);
}

inline void copy_eights(std::byte* to, bytes from, const std::byte* end) {
  do {
    std::memcpy(to, from, 8);
    to += 8;
    from += 8;
  } while (to < end);
}

/// A match that begins less than sixteen bytes back repeats itself. Writes up to fifteen bytes too many.
inline void copy_pattern(std::byte* to, std::ptrdiff_t distance, const std::byte* end) {
  if (distance < 8) {
    // The first eight bytes one by one; from there on, the same pattern stands eight bytes or more back.
    static constexpr std::ptrdiff_t multiple[] = {0, 8, 8, 9, 8, 10, 12, 14};
    for (auto i = 0; i < 8; ++i)
      to[i] = to[i - distance];
    to += 8;
    distance = multiple[distance];
    if (to >= end)
      return;
  }
  copy_eights(to, to - distance, end);
}

/// Exact to the byte, for the end of a block.
inline void copy_bytes(std::byte* to, bytes from, const std::byte* end) {
  while (to < end)
    *to++ = *from++;
}

} // namespace

std::optional<std::size_t> lz4_decode(std::span<const std::byte> block, std::span<std::byte> room) {
  const auto* in = block.data();
  const auto* const in_end = in + block.size();
  auto* out = room.data();
  auto* const out_end = out + room.size();
  const auto* const out_begin = out;
  while (in < in_end) {
    auto token = std::to_integer<unsigned>(*in++);
    // Most sequences are short, and far from both ends: copy their longest form, then go on by their real one.
    while (in_end - in >= short_in && out_end - out >= short_out && token < 0xF0) {
      const auto literals = static_cast<std::ptrdiff_t>(token >> 4);
      std::memcpy(out, in, 16);
      const auto distance = static_cast<std::ptrdiff_t>(load<std::uint16_t>(in + literals));
      auto* const to = out + literals;
      if ((token & 15) == 15 || distance < 8 || distance > to - out_begin) [[unlikely]]
        break;
      const auto* const from = to - distance;
      std::memcpy(to, from, 8);
      std::memcpy(to + 8, from + 8, 8);
      std::memcpy(to + 16, from + 16, 2);
      in += literals + 2;
      out = to + (token & 15) + match_min;
      token = std::to_integer<unsigned>(*in++);
    }
    auto count = static_cast<std::ptrdiff_t>(token >> 4);
    if (count == 15 && !take_rest(in, in_end, count))
      return {};
    if (in_end - in >= count + 16 && out_end - out >= count + 16) [[likely]] {
      copy_steps(out, in, out + count);
    } else {
      if (in_end - in < count || out_end - out < count)
        return {};
      copy_bytes(out, in, out + count);
    }
    in += count;
    out += count;
    if (in == in_end)
      return static_cast<std::size_t>(out - out_begin);
    if (in_end - in < 2)
      return {};
    const auto distance = static_cast<std::ptrdiff_t>(load<std::uint16_t>(in));
    in += 2;
    if (distance == 0 || distance > out - out_begin)
      return {};
    auto length = static_cast<std::ptrdiff_t>(token & 15);
    if (length == 15 && !take_rest(in, in_end, length))
      return {};
    length += match_min;
    if (out_end - out >= length + 16) [[likely]] {
      if (distance >= 16) [[likely]]
        copy_steps(out, out - distance, out + length);
      else
        copy_pattern(out, distance, out + length);
    } else {
      if (out_end - out < length)
        return {};
      copy_bytes(out, out - distance, out + length);
    }
    out += length;
  }
  return {};
}

} // namespace novacron::kernels
