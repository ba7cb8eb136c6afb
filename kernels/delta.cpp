#include "kernels/delta.hpp"

#include "kernels/delta_steps.hpp"

#include <bit>
#include <cstdint>

namespace novacron::kernels {
namespace {

std::uint64_t changed_words(const std::byte* page, const std::byte* before, std::uint8_t* words) {
  auto lines = std::uint64_t{0};
  for (auto line = std::size_t{0}; line < 64; ++line) {
    auto changed = unsigned{0};
    for (auto word = std::size_t{0}; word < 8; ++word) {
      const auto at = 64 * line + 8 * word;
      changed |= static_cast<unsigned>(load<std::uint64_t>(page + at) != load<std::uint64_t>(before + at)) << word;
    }
    words[line] = static_cast<std::uint8_t>(changed);
    lines |= static_cast<std::uint64_t>(changed != 0) << line;
  }
  return lines;
}

std::byte* put_words(const std::byte* page, std::uint64_t lines, const std::uint8_t* words, std::byte* out) {
  for (; lines != 0; lines &= lines - 1) {
    const auto line = static_cast<std::size_t>(std::countr_zero(lines));
    for (auto rest = unsigned{words[line]}; rest != 0; rest &= rest - 1) {
      std::memcpy(out, page + 64 * line + 8 * static_cast<std::size_t>(std::countr_zero(rest)), 8);
      out += 8;
    }
  }
  return out;
}

constexpr auto delta_steps_scalar = delta_steps{.changed = changed_words, .put = put_words};

} // namespace

const delta_steps& delta_steps_of(path by) {
  switch (by) {
#if defined(__x86_64__)
    case path::avx2: return delta_steps_avx2;
    case path::avx512: return delta_steps_avx512;
#endif
    default: return delta_steps_scalar;
  }
}

std::size_t delta_encode(const std::byte* page, const std::byte* before, std::byte* out, path by) {
  const auto& steps = delta_steps_of(by);
  alignas(64) std::uint8_t words[64];
  const auto lines = steps.changed(page, before, words);
  if (lines == 0)
    return 0;
  auto* at = out;
  store(at, lines);
  at += 8;
  for (auto rest = lines; rest != 0; rest &= rest - 1)
    *at++ = std::byte{words[std::countr_zero(rest)]};
  return static_cast<std::size_t>(steps.put(page, lines, words, at) - out);
}

bool delta_apply(std::span<const std::byte> delta, std::byte* page) {
  if (delta.empty())
    return true;
  if (delta.size() < 8)
    return false;
  const auto lines = load<std::uint64_t>(delta.data());
  const auto line_count = static_cast<std::size_t>(std::popcount(lines));
  if (lines == 0 || delta.size() < 8 + line_count)
    return false;
  auto word_count = std::size_t{0};
  for (const auto mask : delta.subspan(8, line_count)) {
    if (mask == std::byte{0})
      return false;
    word_count += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(mask)));
  }
  if (delta.size() != 8 + line_count + 8 * word_count)
    return false;
  const auto* mask = delta.data() + 8;
  const auto* word = mask + line_count;
  for (auto rest = lines; rest != 0; rest &= rest - 1) {
    auto* const line = page + 64 * std::countr_zero(rest);
    for (auto bits = std::to_integer<unsigned>(*mask++); bits != 0; bits &= bits - 1) {
      std::memcpy(line + 8 * std::countr_zero(bits), word, 8);
      word += 8;
    }
  }
  return true;
}

} // namespace novacron::kernels
