#include "kernels/checksum.hpp"

#include "kernels/page.hpp"
#include "kernels/scan_steps.hpp"

#include <bit>

namespace novacron::kernels {
namespace {

std::uint64_t round(std::uint64_t lane, std::uint64_t value) {
  return std::rotl(lane + value * prime64_2, 31) * prime64_1;
}

std::uint64_t merge(std::uint64_t sum, std::uint64_t lane) {
  return (sum ^ round(0, lane)) * prime64_1 + prime64_4;
}

} // namespace

std::uint64_t checksum(std::span<const std::byte> bytes, std::uint64_t seed) {
  const auto* at = bytes.data();
  auto left = bytes.size();
  auto sum = seed + prime64_5;
  if (left >= 32) {
    std::uint64_t lanes[4] = {seed + prime64_1 + prime64_2, seed + prime64_2, seed, seed - prime64_1};
    for (; left >= 32; left -= 32, at += 32)
      for (auto i = std::size_t{0}; i < 4; ++i)
        lanes[i] = round(lanes[i], load<std::uint64_t>(at + 8 * i));
    sum = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const auto lane : lanes)
      sum = merge(sum, lane);
  }
  sum += bytes.size();
  for (; left >= 8; left -= 8, at += 8)
    sum = std::rotl(sum ^ round(0, load<std::uint64_t>(at)), 27) * prime64_1 + prime64_4;
  for (; left >= 4; left -= 4, at += 4)
    sum = std::rotl(sum ^ load<std::uint32_t>(at) * prime64_1, 23) * prime64_2 + prime64_3;
  for (; left > 0; --left, ++at)
    sum = std::rotl(sum ^ std::to_integer<std::uint64_t>(*at) * prime64_5, 11) * prime64_1;
  sum = (sum ^ sum >> 33) * prime64_2;
  sum = (sum ^ sum >> 29) * prime64_3;
  return sum ^ sum >> 32;
}

} // namespace novacron::kernels
