#pragma once

/// Pages for specs: random ones, and all that are hard for somebody.

#include "kernels/page.hpp"
#include "kernels/sample.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace novacron::spec {

using page_bytes = std::vector<std::byte>;

inline page_bytes filled(int with) {
  return page_bytes(kernels::page_size, static_cast<std::byte>(with));
}

inline page_bytes random_bytes(std::size_t size, std::uint64_t seed) {
  auto dice = std::mt19937_64{seed};
  auto bytes = std::vector<std::byte>(size);
  for (auto& x : bytes)
    x = static_cast<std::byte>(dice());
  return bytes;
}

/// Zero, filled, random, like a guest's, and filled but for one byte at each of some places.
inline std::vector<page_bytes> odd_pages() {
  auto all = std::vector<page_bytes>{filled(0), filled(0xFF), filled(0xCC), filled(1)};
  for (auto seed = 1u; seed <= 8; ++seed)
    all.push_back(random_bytes(kernels::page_size, seed));
  const auto memory = kernels::sample_memory(64, 7);
  for (auto at = std::size_t{0}; at < memory.size(); at += kernels::page_size)
    all.emplace_back(memory.begin() + static_cast<std::ptrdiff_t>(at),
                     memory.begin() + static_cast<std::ptrdiff_t>(at + kernels::page_size));
  for (const auto fill : {0, 0xCC})
    for (const auto at : {0u, 1u, 7u, 8u, 31u, 32u, 63u, 64u, 65u, 1023u, 1024u, 2048u, 4031u, 4032u, 4095u}) {
      all.push_back(filled(fill));
      all.back()[at] ^= std::byte{0x10};
    }
  return all;
}

} // namespace novacron::spec
