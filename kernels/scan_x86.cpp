#include "kernels/scan_steps.hpp"

#if defined(__x86_64__)

#include "kernels/intrinsics_x86.hpp"

namespace novacron::kernels {
namespace {

AVX2 bool uniform_avx2(const std::byte* page, std::uint8_t fill) {
  const auto want = _mm256_set1_epi8(static_cast<char>(fill));
  for (auto at = std::size_t{0}; at < page_size; at += stripe_size) {
    const auto other =
        _mm256_or_si256(_mm256_xor_si256(load256(page + at), want), _mm256_xor_si256(load256(page + at + 32), want));
    if (!_mm256_testz_si256(other, other))
      return false;
  }
  return true;
}

struct lanes256 {
  __m256i low, high;
};

AVX2 inline __m256i add_half(__m256i lanes, __m256i value, __m256i secret) {
  const auto keyed = _mm256_xor_si256(value, secret);
  const auto product = _mm256_mul_epu32(keyed, _mm256_srli_epi64(keyed, 32));
  return _mm256_add_epi64(lanes, _mm256_add_epi64(product, _mm256_shuffle_epi32(value, 0x4E)));
}

AVX2 inline __m256i mix_half(__m256i lanes, __m256i secret) {
  const auto keyed = _mm256_xor_si256(_mm256_xor_si256(lanes, _mm256_srli_epi64(lanes, 47)), secret);
  const auto prime = _mm256_set1_epi32(static_cast<int>(prime32_1));
  const auto high = _mm256_mul_epu32(_mm256_srli_epi64(keyed, 32), prime);
  return _mm256_add_epi64(_mm256_mul_epu32(keyed, prime), _mm256_slli_epi64(high, 32));
}

template <bool copy>
AVX2 inline void add_stripe(lanes256& x, const std::byte* stripe, std::byte* to, const std::byte* secret) {
  const auto low = load256(stripe);
  const auto high = load256(stripe + 32);
  if constexpr (copy) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32), high);
  }
  x.low = add_half(x.low, low, load256(secret));
  x.high = add_half(x.high, high, load256(secret + 32));
}

template <bool copy>
AVX2 void hash_avx2(const std::byte* page, std::byte* to, const std::byte* secret, std::uint64_t* lanes) {
  const auto* start = reinterpret_cast<const std::byte*>(hash_start.data());
  auto x = lanes256{load256(start), load256(start + 32)};
  for (auto block = 0; block < 3; ++block, page += block_size, to += block_size) {
#pragma GCC unroll 16
    for (auto n = std::size_t{0}; n < block_stripes; ++n)
      add_stripe<copy>(x, page + n * stripe_size, to + n * stripe_size, secret + 8 * n);
    x.low = mix_half(x.low, load256(secret + mix_offset));
    x.high = mix_half(x.high, load256(secret + mix_offset + 32));
  }
#pragma GCC unroll 16
  for (auto n = std::size_t{0}; n < block_stripes - 1; ++n)
    add_stripe<copy>(x, page + n * stripe_size, to + n * stripe_size, secret + 8 * n);
  add_stripe<copy>(x, page + (block_stripes - 1) * stripe_size, to + (block_stripes - 1) * stripe_size,
                   secret + last_offset);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), x.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes + 4), x.high);
}

AVX512 bool uniform_avx512(const std::byte* page, std::uint8_t fill) {
  const auto want = _mm512_set1_epi8(static_cast<char>(fill));
  for (auto at = std::size_t{0}; at < page_size; at += stripe_size) {
    if (_mm512_cmpneq_epi64_mask(load512(page + at), want) != 0)
      return false;
  }
  return true;
}

template <bool copy>
AVX512 inline __m512i add_stripe(__m512i lanes, const std::byte* stripe, std::byte* to, const std::byte* secret) {
  const auto value = load512(stripe);
  if constexpr (copy)
    _mm512_storeu_si512(to, value);
  const auto keyed = _mm512_xor_si512(value, load512(secret));
  const auto product = _mm512_mul_epu32(keyed, _mm512_srli_epi64(keyed, 32));
  return _mm512_add_epi64(lanes, _mm512_add_epi64(product, _mm512_shuffle_epi32(value, _MM_PERM_BADC)));
}

AVX512 inline __m512i mix(__m512i lanes, const std::byte* secret) {
  const auto keyed = _mm512_xor_si512(_mm512_xor_si512(lanes, _mm512_srli_epi64(lanes, 47)), load512(secret));
  const auto prime = _mm512_set1_epi32(static_cast<int>(prime32_1));
  const auto high = _mm512_mul_epu32(_mm512_srli_epi64(keyed, 32), prime);
  return _mm512_add_epi64(_mm512_mul_epu32(keyed, prime), _mm512_slli_epi64(high, 32));
}

template <bool copy>
AVX512 void hash_avx512(const std::byte* page, std::byte* to, const std::byte* secret, std::uint64_t* lanes) {
  auto x = load512(reinterpret_cast<const std::byte*>(hash_start.data()));
  for (auto block = 0; block < 3; ++block, page += block_size, to += block_size) {
#pragma GCC unroll 16
    for (auto n = std::size_t{0}; n < block_stripes; ++n)
      x = add_stripe<copy>(x, page + n * stripe_size, to + n * stripe_size, secret + 8 * n);
    x = mix(x, secret + mix_offset);
  }
#pragma GCC unroll 16
  for (auto n = std::size_t{0}; n < block_stripes - 1; ++n)
    x = add_stripe<copy>(x, page + n * stripe_size, to + n * stripe_size, secret + 8 * n);
  x = add_stripe<copy>(x, page + (block_stripes - 1) * stripe_size, to + (block_stripes - 1) * stripe_size,
                       secret + last_offset);
  _mm512_storeu_si512(lanes, x);
}

// Where nothing is copied nothing is written either: `to` only has to be a pointer that can be counted on with.
AVX2 void lanes_avx2(const std::byte* page, const std::byte* secret, std::uint64_t* lanes) {
  hash_avx2<false>(page, const_cast<std::byte*>(page), secret, lanes);
}

AVX512 void lanes_avx512(const std::byte* page, const std::byte* secret, std::uint64_t* lanes) {
  hash_avx512<false>(page, const_cast<std::byte*>(page), secret, lanes);
}

} // namespace

const scan_steps scan_steps_avx2 = {.uniform = uniform_avx2, .lanes = lanes_avx2, .copy_lanes = hash_avx2<true>};
const scan_steps scan_steps_avx512 = {
    .uniform = uniform_avx512, .lanes = lanes_avx512, .copy_lanes = hash_avx512<true>};

} // namespace novacron::kernels

#endif
