#include "kernels/scan_steps.hpp"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace novacron::kernels {
namespace {

uint64x2_t load128(const std::byte* from) {
  return vreinterpretq_u64_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(from)));
}

bool uniform(const std::byte* page, std::uint8_t fill) {
  const auto want = vreinterpretq_u64_u8(vdupq_n_u8(fill));
  for (auto at = std::size_t{0}; at < page_size; at += stripe_size) {
    const auto a = vorrq_u64(veorq_u64(load128(page + at), want), veorq_u64(load128(page + at + 16), want));
    const auto b = vorrq_u64(veorq_u64(load128(page + at + 32), want), veorq_u64(load128(page + at + 48), want));
    if (vmaxvq_u32(vreinterpretq_u32_u64(vorrq_u64(a, b))) != 0)
      return false;
  }
  return true;
}

struct lanes128 {
  uint64x2_t quarter[4];
};

void add_stripe(lanes128& x, const std::byte* stripe, const std::byte* secret) {
  for (auto i = 0; i < 4; ++i) {
    const auto value = load128(stripe + 16 * i);
    const auto keyed = veorq_u64(value, load128(secret + 16 * i));
    const auto swapped = vextq_u64(value, value, 1);
    x.quarter[i] = vmlal_u32(vaddq_u64(x.quarter[i], swapped), vmovn_u64(keyed), vshrn_n_u64(keyed, 32));
  }
}

void mix(lanes128& x, const std::byte* secret) {
  const auto prime = vdup_n_u32(static_cast<std::uint32_t>(prime32_1));
  for (auto i = 0; i < 4; ++i) {
    const auto keyed = veorq_u64(veorq_u64(x.quarter[i], vshrq_n_u64(x.quarter[i], 47)), load128(secret + 16 * i));
    const auto high = vshlq_n_u64(vmull_u32(vshrn_n_u64(keyed, 32), prime), 32);
    x.quarter[i] = vmlal_u32(high, vmovn_u64(keyed), prime);
  }
}

void lanes(const std::byte* page, const std::byte* secret, std::uint64_t* out) {
  auto x = lanes128{};
  for (auto i = 0; i < 4; ++i)
    x.quarter[i] = vld1q_u64(hash_start.data() + 2 * i);
  constexpr auto stripes = page_size / stripe_size;
  for (auto n = std::size_t{0}; n < stripes - 1; ++n) {
    add_stripe(x, page + n * stripe_size, secret + 8 * (n % block_stripes));
    if (n % block_stripes == block_stripes - 1)
      mix(x, secret + mix_offset);
  }
  add_stripe(x, page + page_size - stripe_size, secret + last_offset);
  for (auto i = 0; i < 4; ++i)
    vst1q_u64(out + 2 * i, x.quarter[i]);
}

/// The copy is still in the cache when it is hashed.
void copy_lanes(const std::byte* page, std::byte* to, const std::byte* secret, std::uint64_t* out) {
  std::memcpy(to, page, page_size);
  lanes(to, secret, out);
}

} // namespace

const scan_steps scan_steps_neon = {.uniform = uniform, .lanes = lanes, .copy_lanes = copy_lanes};

} // namespace novacron::kernels

#endif
