#pragma once

/// Moves a real guest between two hosts by QEMU's own ways and by ours, in turns, and says what each took.

#include "actors/host/figures.hpp"
#include "actors/migration/page_frame.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace novacron::migration {

struct bench_moves_options {
  /// Holds vmlinuz and initramfs of a guest that fills memory, dirties it, counts aloud and verifies itself
  /// (doc/benchmarks.md).
  std::filesystem::path guest;
  std::filesystem::path scratch = "/var/tmp";
  /// Mbit/s, 0 for no limit; pages per second.
  std::vector<std::uint64_t> links{1000, 200, 0};
  std::vector<std::uint64_t> dirty{0, 3000};
  /// Of bench_modes(); empty for all.
  std::vector<std::string> modes;
  unsigned repetitions = 3;
  /// Not a multiple of 256 KiB: QEMU 7.2 without an accelerator then loses writes in its own migrations.
  std::uint64_t memory_kib = 524280;
  std::uint64_t fill_mib = 176;
  std::uint64_t set_mib = 64;
  /// 0: as many as this host has processors, 2 to 8.
  std::uint16_t streams = 0;
  /// Of ours; chosen by what is measured, where none is given.
  std::optional<block_coding> coding;
  /// Told what is going on.
  std::function<void(const std::string&)> progress = [](const auto&) {};
};

std::vector<std::string> bench_modes();

/// "1000,200,0": numbers; nothing when it is no such list.
std::vector<std::uint64_t> read_numbers(const std::string& text);

/// "plain,ours".
std::vector<std::string> read_words(const std::string& text);

/// MODE_LINK_DIRTY_wall, _gap, _bytes and _cpu of each, medians; ours beside the best of QEMU's modes, each figure by
/// itself. Throws std::runtime_error when a guest was not whole after a move: then no figure means anything.
std::vector<host::figure> bench_moves(const bench_moves_options& options);

} // namespace novacron::migration
