#pragma once

/// Measures the kernels on this machine, each beside the memory's own speed or a peer in the same run.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace novacron::kernels {

struct bench_figure {
  std::string name;
  double value = 0;
  /// "B/s" of one core, by the time the thread was running; "1" for ratios.
  std::string unit;
  std::string peer;
  double peer_value = 0;
};

/// A library that does the same: encodes and decodes one block, and answers the size (0 if it failed).
struct bench_peer {
  /// What its figures are called, and what it is, with its version.
  std::string name;
  std::string title;
  std::function<std::size_t(std::span<const std::byte>, std::span<std::byte>)> encode;
  std::function<std::size_t(std::span<const std::byte>, std::span<std::byte>)> decode;
};

struct bench_options {
  unsigned rounds = 9;
  /// Far more than the caches hold.
  std::size_t page_count = 32768;
  std::uint64_t seed = 1;
  /// Memory of a real guest, whole pages; without it, memory like that of a guest is made.
  std::vector<std::byte> memory;
};

/// Rounds of all measurements alternate; medians are reported. The first peer stands beside lz4_encode, lz4_decode and
/// lz4_ratio; the others get figures of their own.
std::vector<bench_figure> bench_cpu(bench_options options, std::span<const bench_peer> peers);

} // namespace novacron::kernels
