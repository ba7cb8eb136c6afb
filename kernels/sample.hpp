#pragma once

/// Memory like that of a guest, made from a seed: what benches and specs chew on when no guest is at hand.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace novacron::kernels {

/// Pages drawn by the shares of a measured guest: 25 % zero, 15 % random, 30 % records of 64 bytes, 10 % pointers,
/// 10 % lines of a log, 10 % copies of 64 template pages.
std::vector<std::byte> sample_memory(std::size_t page_count, std::uint64_t seed);

/// The same without the zero pages and copies: what is left for a block encoder.
std::vector<std::byte> sample_content(std::size_t page_count, std::uint64_t seed);

/// Does to a page what a guest does between two passes: mostly one word, in one of five cases all of it.
void sample_write(std::span<std::byte> page, std::uint64_t seed);

} // namespace novacron::kernels
