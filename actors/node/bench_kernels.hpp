#pragma once

/// What the kernels reach on one core, beside the memory's own speed, liblz4 and libzstd.

#include "actors/host/figures.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace novacron::node {

struct bench_kernels_options {
  unsigned rounds = 9;
  std::uint64_t seed = 1;
  /// Memory of a guest, for instance what QEMU's dump-guest-memory wrote; empty: memory like that of a guest is made.
  std::string memory_file;
};

std::vector<host::figure> bench_kernels(const bench_kernels_options& options = {});

} // namespace novacron::node
