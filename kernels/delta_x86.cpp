#include "kernels/delta_steps.hpp"

#if defined(__x86_64__)

#include "kernels/intrinsics_x86.hpp"

#include <bit>
#include <cstring>

namespace novacron::kernels {
namespace {

AVX2 inline unsigned changed_half(const std::byte* page, const std::byte* before) {
  const auto equal = _mm256_cmpeq_epi64(load256(page), load256(before));
  return ~static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(equal))) & 0xFU;
}

AVX2 std::uint64_t changed_avx2(const std::byte* page, const std::byte* before, std::uint8_t* words) {
  auto lines = std::uint64_t{0};
  for (auto line = 0; line < 64; ++line, page += 64, before += 64) {
    const auto changed = changed_half(page, before) | changed_half(page + 32, before + 32) << 4;
    words[line] = static_cast<std::uint8_t>(changed);
    lines |= static_cast<std::uint64_t>(changed != 0) << line;
  }
  return lines;
}

AVX2 std::byte* put_avx2(const std::byte* page, std::uint64_t lines, const std::uint8_t* words, std::byte* out) {
  for (; lines != 0; lines &= lines - 1) {
    const auto line = std::countr_zero(lines);
    for (auto rest = unsigned{words[line]}; rest != 0; rest &= rest - 1) {
      std::memcpy(out, page + 64 * line + 8 * std::countr_zero(rest), 8);
      out += 8;
    }
  }
  return out;
}

AVX512 std::uint64_t changed_avx512(const std::byte* page, const std::byte* before, std::uint8_t* words) {
  auto lines = std::uint64_t{0};
  for (auto line = 0; line < 64; ++line, page += 64, before += 64) {
    const auto changed = _mm512_cmpneq_epi64_mask(load512(page), load512(before));
    words[line] = static_cast<std::uint8_t>(changed);
    lines |= static_cast<std::uint64_t>(changed != 0) << line;
  }
  return lines;
}

/// Packed in a register and stored whole: a compressing store is microcoded on some processors.
AVX512 std::byte* put_avx512(const std::byte* page, std::uint64_t lines, const std::uint8_t* words, std::byte* out) {
  for (; lines != 0; lines &= lines - 1) {
    const auto line = std::countr_zero(lines);
    const auto mask = words[line];
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi64(mask, load512(page + 64 * line)));
    out += 8 * std::popcount(mask);
  }
  return out;
}

} // namespace

const delta_steps delta_steps_avx2 = {.changed = changed_avx2, .put = put_avx2};
const delta_steps delta_steps_avx512 = {.changed = changed_avx512, .put = put_avx512};

} // namespace novacron::kernels

#endif
