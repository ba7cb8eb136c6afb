#pragma once

/// Blocks for specs: contents of every shape, and liblz4 to encode and decode them.

#include "kernels/lz4.hpp"
#include "kernels/sample.hpp"
#include "spec/kernels/pages.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <lz4.h>
#include <optional>
#include <random>
#include <vector>

namespace novacron::spec {

using bytes = std::vector<std::byte>;

inline std::optional<bytes> decode_by_liblz4(const bytes& block, std::size_t room) {
  auto out = bytes(room + 1);
  const auto size =
      LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()), reinterpret_cast<char*>(out.data()),
                          static_cast<int>(block.size()), static_cast<int>(room));
  if (size < 0)
    return {};
  out.resize(static_cast<std::size_t>(size));
  return out;
}

inline bytes encode_by_liblz4(const bytes& in, int acceleration) {
  auto out = bytes(kernels::lz4_bound(in.size()));
  out.resize(static_cast<std::size_t>(
      LZ4_compress_fast(reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(out.data()),
                        static_cast<int>(in.size()), static_cast<int>(out.size()), acceleration)));
  return out;
}

/// Runs of random length out of few different bytes, words and earlier parts: every length and distance comes up.
inline bytes woven(std::size_t size, std::uint64_t seed) {
  auto dice = std::mt19937_64{seed};
  auto out = bytes{};
  while (out.size() < size) {
    const auto length = std::size_t{1} + dice() % (dice() % 8 == 0 ? 700 : 24);
    const auto kind = dice() % 4;
    const auto back = out.empty() ? 0 : 1 + dice() % std::min<std::size_t>(out.size(), dice() % 2 == 0 ? 20 : 65535);
    for (auto i = std::size_t{0}; i < length; ++i)
      out.push_back(kind == 0 || out.size() < back || back == 0 ? static_cast<std::byte>(dice() % 4 * 60)
                    : kind == 1                                 ? static_cast<std::byte>(dice())
                                                                : out[out.size() - back]);
  }
  out.resize(size);
  return out;
}

inline std::vector<bytes> block_contents() {
  auto all = std::vector<bytes>{};
  for (auto size = std::size_t{0}; size <= 80; ++size) {
    all.push_back(woven(size, size));
    all.push_back(bytes(size, std::byte{3}));
  }
  for (auto seed = 0u; seed < 60; ++seed)
    all.push_back(woven(100 + seed * 1091 % (kernels::lz4_block_max - 100), seed));
  for (const auto size : {4096u, 65535u, 65536u}) {
    all.push_back(woven(size, size));
    all.push_back(bytes(size));
    all.push_back(random_bytes(size, size));
  }
  const auto guest = kernels::sample_content(256, 9);
  for (auto at = std::size_t{0}; at < guest.size(); at += kernels::lz4_block_max)
    all.emplace_back(guest.begin() + static_cast<std::ptrdiff_t>(at),
                     guest.begin() + static_cast<std::ptrdiff_t>(at + kernels::lz4_block_max));
  return all;
}

} // namespace novacron::spec
