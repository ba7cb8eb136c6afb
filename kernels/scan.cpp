#include "kernels/scan.hpp"

#include "kernels/scan_steps.hpp"

#include <algorithm>

namespace novacron::kernels {
namespace {

/// The default secret of xxHash.
constexpr auto secret_words = std::array<std::uint64_t, 24>{
    0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072, 0x78e5c0cc4ee679cb,
    0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0, 0xcb00c391bb52283c, 0xa32e531b8b65d088,
    0x4ef90da297486471, 0xd8acdea946ef1938, 0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a,
    0x647378d9c97e9fc8, 0xc3ebd33483acc5ea, 0xeb6313faffa081c5, 0x49daf0b751dd0d17, 0x9e68d429265516d3,
    0xfca1477d58be162b, 0xce31d07ad1b8f88f, 0x280416958f3acb45, 0x7e404bbbcafbd7af,
};

bool uniform(const std::byte* page, std::uint8_t fill) {
  const auto want = fill * std::uint64_t{0x0101010101010101};
  for (auto at = std::size_t{0}; at < page_size; at += stripe_size) {
    auto other = std::uint64_t{0};
    for (auto i = std::size_t{0}; i < stripe_size; i += 8)
      other |= load<std::uint64_t>(page + at + i) ^ want;
    if (other != 0)
      return false;
  }
  return true;
}

void add_stripe(const std::byte* stripe, const std::byte* secret, std::uint64_t* lanes) {
  for (auto i = std::size_t{0}; i < 8; ++i) {
    const auto value = load<std::uint64_t>(stripe + 8 * i);
    const auto keyed = value ^ load<std::uint64_t>(secret + 8 * i);
    lanes[i ^ 1] += value;
    lanes[i] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
  }
}

void mix(const std::byte* secret, std::uint64_t* lanes) {
  for (auto i = std::size_t{0}; i < 8; ++i)
    lanes[i] = (lanes[i] ^ (lanes[i] >> 47) ^ load<std::uint64_t>(secret + 8 * i)) * prime32_1;
}

void hash_lanes(const std::byte* page, const std::byte* secret, std::uint64_t* lanes) {
  std::ranges::copy(hash_start, lanes);
  constexpr auto stripes = page_size / stripe_size;
  for (auto n = std::size_t{0}; n < stripes - 1; ++n) {
    add_stripe(page + n * stripe_size, secret + 8 * (n % block_stripes), lanes);
    if (n % block_stripes == block_stripes - 1)
      mix(secret + mix_offset, lanes);
  }
  add_stripe(page + page_size - stripe_size, secret + last_offset, lanes);
}

std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using u128 = unsigned __int128;
  const auto product = static_cast<u128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t merge(const std::uint64_t* lanes, const std::byte* secret, std::uint64_t sum) {
  for (auto i = std::size_t{0}; i < 8; i += 2)
    sum += fold(lanes[i] ^ load<std::uint64_t>(secret + 8 * i), lanes[i + 1] ^ load<std::uint64_t>(secret + 8 * i + 8));
  sum ^= sum >> 37;
  sum *= 0x165667919E3779F9;
  return sum ^ (sum >> 32);
}

page_hash finish(const std::uint64_t* lanes, const std::byte* secret) {
  return {.low = merge(lanes, secret + low_offset, page_size * prime64_1),
          .high = merge(lanes, secret + high_offset, ~(page_size * prime64_2))};
}

void copy_lanes(const std::byte* page, std::byte* to, const std::byte* secret, std::uint64_t* lanes) {
  std::memcpy(to, page, page_size);
  hash_lanes(to, secret, lanes);
}

constexpr auto scan_steps_scalar = scan_steps{.uniform = uniform, .lanes = hash_lanes, .copy_lanes = copy_lanes};

page_mark scan(const std::byte* page, const hash_key& key, const scan_steps& steps) {
  const auto fill = load<std::uint8_t>(page);
  if (steps.uniform(page, fill))
    return {.uniform = true, .fill = fill};
  alignas(64) std::uint64_t lanes[8];
  steps.lanes(page, key.secret.data(), lanes);
  return {.hash = finish(lanes, key.secret.data())};
}

} // namespace

const scan_steps& scan_steps_of(path by) {
  switch (by) {
#if defined(__x86_64__)
    case path::avx2: return scan_steps_avx2;
    case path::avx512: return scan_steps_avx512;
#elif defined(__aarch64__)
    case path::neon: return scan_steps_neon;
#endif
    default: return scan_steps_scalar;
  }
}

hash_key::hash_key(std::uint64_t seed) {
  for (auto i = std::size_t{0}; i < secret_words.size(); ++i)
    store(secret.data() + 8 * i, i % 2 == 0 ? secret_words[i] + seed : secret_words[i] - seed);
}

bool is_zero(const std::byte* page, path by) {
  return scan_steps_of(by).uniform(page, 0);
}

std::size_t zero_count(std::span<const std::byte> pages, path by) {
  const auto uniform = scan_steps_of(by).uniform;
  auto count = std::size_t{0};
  for (auto at = std::size_t{0}; at + page_size <= pages.size(); at += page_size)
    count += uniform(pages.data() + at, 0);
  return count;
}

page_hash hash(const std::byte* page, const hash_key& key, path by) {
  alignas(64) std::uint64_t lanes[8];
  scan_steps_of(by).lanes(page, key.secret.data(), lanes);
  return finish(lanes, key.secret.data());
}

page_mark scan(const std::byte* page, const hash_key& key, path by) {
  return scan(page, key, scan_steps_of(by));
}

void scan(std::span<const std::byte> pages, const hash_key& key, std::span<page_mark> marks, path by) {
  const auto& steps = scan_steps_of(by);
  for (auto i = std::size_t{0}; i < marks.size(); ++i)
    marks[i] = scan(pages.data() + i * page_size, key, steps);
}

page_mark copy_and_scan(const std::byte* from, std::byte* to, const hash_key& key, path by) {
  const auto& steps = scan_steps_of(by);
  const auto fill = load<std::uint8_t>(from);
  if (steps.uniform(from, fill))
    return {.uniform = true, .fill = fill};
  alignas(64) std::uint64_t lanes[8];
  steps.copy_lanes(from, to, key.secret.data(), lanes);
  return {.hash = finish(lanes, key.secret.data())};
}

} // namespace novacron::kernels
