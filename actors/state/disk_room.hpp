#pragma once

/// How much room the ledger's disk has, and a little that is put aside for reading the log when there is none.

#include <cstdint>
#include <filesystem>
#include <utility>

namespace novacron::ledger {

class disk_room {
public:
  /// Below `free_bytes_min` the disk counts as low.
  disk_room(std::filesystem::path directory, std::uint64_t free_bytes_min, std::uint64_t segment_bytes)
    : directory_{std::move(directory)}, free_bytes_min_{free_bytes_min}, segment_bytes_{segment_bytes} {}

  /// No more writes should be taken.
  bool low() const { return free_bytes() < free_bytes_min_; }
  /// The library cannot go on: it always allocates two segments ahead.
  bool full() const;
  /// Nothing happens when it is there already, or when there is no room for it.
  void put_aside() const;
  /// Gives back what was put aside.
  void use_up() const;

private:
  std::uint64_t free_bytes() const;
  std::filesystem::path reserve() const { return directory_ / "reserve"; }

  std::filesystem::path directory_;
  std::uint64_t free_bytes_min_;
  std::uint64_t segment_bytes_;
};

} // namespace novacron::ledger
