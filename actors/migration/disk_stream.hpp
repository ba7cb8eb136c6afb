#pragma once

/// A guest's disk on its way: files that change while they are sent, and once more, what has changed, with the guest
/// stopped.
///
/// Either end knows the files by their order. A file is sent in blocks of 64 KiB; one that is as it was sent last is
/// not sent again.

#include "actors/migration/channel.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <vector>

namespace novacron::migration {

/// What the stream begins with.
struct disk_hello {
  /// Of the migration, as in the hello of the other streams.
  std::array<std::byte, 16> token{};
  /// How many streams of memory follow on connections of their own.
  std::uint16_t stream_count = 1;
  std::uint16_t file_count = 0;
};

class disk_sender {
public:
  /// Says hello. The channel outlives it. Throws migration_error.
  disk_sender(channel& way, const disk_hello& hello, std::vector<std::filesystem::path> files);

  /// Sends what is not there yet, and returns once it is written there. The other end takes no more after the `last`.
  /// Throws migration_error.
  void send_pass(bool last, const std::stop_token& cancel);
  /// Nobody writes to that file: once it was sent it is not looked at again, least of all while the guest stands still.
  void let_be(std::size_t number) { files_.at(number).constant = true; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

private:
  struct file {
    std::filesystem::path path;
    bool constant = false;
    bool sent = false;
    std::uint64_t size = 0;
    /// Of each block as it was sent last; 0 is one of zeros, as all of a file are that is not there yet.
    std::vector<std::uint64_t> sums;
  };
  void send_file(std::uint16_t number, file& what, const std::stop_token& cancel);
  void say(std::uint8_t kind, std::uint16_t number, std::uint64_t at, std::uint32_t size);

  channel& way_;
  std::vector<file> files_;
  std::uint64_t bytes_ = 0;
};

/// Reads the hello. Throws migration_error when it is none.
disk_hello read_disk_hello(channel& way);

/// Writes what comes into `files`, which are emptied first but stay the same files, and returns after the last pass.
/// Throws migration_error, also when the disk is full; the source is told why.
void receive_disk(channel& way, const std::vector<std::filesystem::path>& files);

} // namespace novacron::migration
