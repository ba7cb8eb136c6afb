#pragma once

/// The vector instructions of x86, for functions that say with AVX2 or AVX512 what they need.

#include <cstddef>

// g++ 12 takes the undefined registers of its own intrinsics for a mistake of ours.
#pragma GCC diagnostic push
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi,bmi2,popcnt")))

namespace novacron::kernels {

AVX2 inline __m256i load256(const std::byte* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

AVX512 inline __m512i load512(const std::byte* from) {
  return _mm512_loadu_si512(from);
}

} // namespace novacron::kernels
