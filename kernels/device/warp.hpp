#pragma once

/// Thirty-two lanes in step: threads of a CUDA device, or a loop on the processor, where specs run the same functions.

#include "kernels/page.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define ON_DEVICE __device__
#define UNROLL _Pragma("unroll")
#else
#define ON_DEVICE
#define UNROLL
#endif

namespace novacron::kernels::device {

inline constexpr auto lane_count = 32u;
inline constexpr auto all_lanes = ~std::uint32_t{0};

/// Lanes before this one, and this one with those before.
ON_DEVICE inline std::uint32_t before(unsigned lane) {
  return (std::uint32_t{1} << lane) - 1;
}
ON_DEVICE inline std::uint32_t up_to(unsigned lane) {
  return all_lanes >> (31 - lane);
}

/// What is read and written at once where addresses are multiples of sixteen.
struct alignas(16) quad {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  ON_DEVICE quad& operator+=(const quad& other) {
    a += other.a;
    b += other.b;
    return *this;
  }
};

#if defined(__CUDACC__)

/// A value that each lane has its own of.
template <class T>
struct per_lane {
  T own;
  ON_DEVICE T& operator[](unsigned) { return own; }
  ON_DEVICE const T& operator[](unsigned) const { return own; }
};

ON_DEVICE inline unsigned count_of(std::uint32_t x) {
  return static_cast<unsigned>(__popc(x));
}
ON_DEVICE inline unsigned first_of(std::uint32_t x) {
  return static_cast<unsigned>(__ffs(static_cast<int>(x)) - 1);
}
ON_DEVICE inline unsigned last_of(std::uint32_t x) {
  return 31 - static_cast<unsigned>(__clz(static_cast<int>(x)));
}
ON_DEVICE inline std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  return __umul64hi(a, b);
}

/// Four bytes at any address. Reads the aligned words around them: up to seven bytes beyond.
ON_DEVICE inline std::uint32_t word_at(const std::byte* from) {
  const auto at = reinterpret_cast<std::uintptr_t>(from);
  const auto* const words = reinterpret_cast<const std::uint32_t*>(at & ~std::uintptr_t{3});
  return __funnelshift_r(words[0], words[1], static_cast<std::uint32_t>(at % 4 * 8));
}
/// Five bytes at any address, in the low ones; the others are anything.
ON_DEVICE inline std::uint64_t five_at(const std::byte* from) {
  const auto at = reinterpret_cast<std::uintptr_t>(from);
  const auto* const words = reinterpret_cast<const std::uint32_t*>(at & ~std::uintptr_t{3});
  return (words[0] | static_cast<std::uint64_t>(words[1]) << 32) >> (at % 4 * 8);
}
ON_DEVICE inline quad quad_at(const std::byte* from) {
  return *reinterpret_cast<const quad*>(from);
}
/// Memory of the host that somebody may be writing to: read once, past all caches.
ON_DEVICE inline quad fresh_quad_at(const std::byte* from) {
  const auto x = __ldcv(reinterpret_cast<const ulonglong2*>(from));
  return {x.x, x.y};
}
ON_DEVICE inline void put_quad(std::byte* to, const quad& x) {
  *reinterpret_cast<quad*>(to) = x;
}

/// What the lanes do together. On the device each thread holds one of its own, and all of them are the warp.
class warp {
public:
  /// Each lane does this; what the lanes wrote, all of them see afterwards.
  template <class F>
  ON_DEVICE void each(F&& work) const {
    work(threadIdx.x % lane_count);
    __syncwarp();
  }
  ON_DEVICE std::uint32_t ballot(const per_lane<bool>& x) const { return __ballot_sync(all_lanes, x.own); }
  template <class T>
  ON_DEVICE T from(const per_lane<T>& x, unsigned lane) const {
    return __shfl_sync(all_lanes, x.own, static_cast<int>(lane));
  }
  ON_DEVICE quad from(const per_lane<quad>& x, unsigned lane) const {
    const auto source = static_cast<int>(lane);
    return {__shfl_sync(all_lanes, x.own.a, source), __shfl_sync(all_lanes, x.own.b, source)};
  }
  /// What the lane has whose number differs in these bits.
  template <class T>
  ON_DEVICE per_lane<T> other(const per_lane<T>& x, unsigned bits) const {
    return {__shfl_xor_sync(all_lanes, x.own, static_cast<int>(bits))};
  }
  ON_DEVICE per_lane<quad> other(const per_lane<quad>& x, unsigned bits) const {
    return {{__shfl_xor_sync(all_lanes, x.own.a, static_cast<int>(bits)),
             __shfl_xor_sync(all_lanes, x.own.b, static_cast<int>(bits))}};
  }
  /// For each lane, the lanes with the same value.
  ON_DEVICE per_lane<std::uint32_t> alike(const per_lane<std::uint32_t>& x) const {
    return {__match_any_sync(all_lanes, x.own)};
  }
  /// Adds to a number that other warps add to as well; returns what it was.
  ON_DEVICE std::uint32_t claim(std::uint32_t* number, std::uint32_t count) const {
    auto was = std::uint32_t{0};
    if (threadIdx.x % lane_count == 0)
      was = atomicAdd(number, count);
    return __shfl_sync(all_lanes, was, 0);
  }
};

#else

template <class T>
struct per_lane {
  T all[lane_count]{};
  T& operator[](unsigned lane) { return all[lane]; }
  const T& operator[](unsigned lane) const { return all[lane]; }
};

inline unsigned count_of(std::uint32_t x) {
  return static_cast<unsigned>(std::popcount(x));
}
inline unsigned first_of(std::uint32_t x) {
  return static_cast<unsigned>(std::countr_zero(x));
}
inline unsigned last_of(std::uint32_t x) {
  return 31 - static_cast<unsigned>(std::countl_zero(x));
}
inline std::uint64_t high_product(std::uint64_t a, std::uint64_t b) {
  __extension__ using u128 = unsigned __int128;
  return static_cast<std::uint64_t>(static_cast<u128>(a) * b >> 64);
}

inline std::uint32_t word_at(const std::byte* from) {
  return load<std::uint32_t>(from);
}
inline std::uint64_t five_at(const std::byte* from) {
  return load<std::uint32_t>(from) | static_cast<std::uint64_t>(from[4]) << 32;
}
inline quad quad_at(const std::byte* from) {
  return load<quad>(from);
}
inline quad fresh_quad_at(const std::byte* from) {
  return load<quad>(from);
}
inline void put_quad(std::byte* to, const quad& x) {
  store(to, x);
}

/// Lanes take their turns within a step, in either order: what comes out must not depend on it. Where it does, the
/// device has a race.
class warp {
public:
  explicit warp(bool backwards = false) : backwards_{backwards} {}

  template <class F>
  void each(F&& work) const {
    for (auto i = 0u; i < lane_count; ++i)
      work(backwards_ ? lane_count - 1 - i : i);
  }
  std::uint32_t ballot(const per_lane<bool>& x) const {
    auto bits = std::uint32_t{0};
    for (auto i = 0u; i < lane_count; ++i)
      bits |= static_cast<std::uint32_t>(x[i]) << i;
    return bits;
  }
  template <class T>
  T from(const per_lane<T>& x, unsigned lane) const {
    return x[lane];
  }
  template <class T>
  per_lane<T> other(const per_lane<T>& x, unsigned bits) const {
    auto all = per_lane<T>{};
    for (auto i = 0u; i < lane_count; ++i)
      all[i] = x[i ^ bits];
    return all;
  }
  per_lane<std::uint32_t> alike(const per_lane<std::uint32_t>& x) const {
    auto all = per_lane<std::uint32_t>{};
    for (auto i = 0u; i < lane_count; ++i)
      for (auto j = 0u; j < lane_count; ++j)
        all[i] |= static_cast<std::uint32_t>(x[i] == x[j]) << j;
    return all;
  }
  std::uint32_t claim(std::uint32_t* number, std::uint32_t count) const {
    const auto was = *number;
    *number += count;
    return was;
  }

private:
  bool backwards_;
};

#endif

} // namespace novacron::kernels::device
