#pragma once

/// The memory of a guest, as this process sees it.

#include "actors/migration/page_set.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace novacron::migration {

class guest_memory {
public:
  /// Maps the shared memory behind `fd`, a file of memory, and takes the descriptor over. Throws std::system_error.
  static std::unique_ptr<guest_memory> map(int fd);
  /// Maps the memory that the process has as its guest's: a memfd of QEMU's memory-backend-memfd. Throws
  /// std::system_error, or migration_error when the process has none, or several.
  static std::unique_ptr<guest_memory> of_process(pid_t pid);
  ~guest_memory();
  guest_memory(const guest_memory&) = delete;
  guest_memory& operator=(const guest_memory&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }
  std::uint64_t page_count() const;
  /// Adds the pages that hold anything: the others were never touched, and are zero.
  void add_populated(page_set& into) const;
  /// Makes all of it zero, and gives the memory back to the host.
  void clear() const;
  /// Writes whole pages. Where none are yet, that costs a third less than to write to them: they are neither made zero
  /// first nor faulted in.
  void fill(std::size_t offset, std::span<const std::byte> pages) const;

private:
  guest_memory(int fd, std::span<std::byte> bytes) : fd_{fd}, bytes_{bytes} {}

  int fd_;
  std::span<std::byte> bytes_;
};

/// Where a process has its guest's memory.
struct guest_mapping {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
};
/// Throws migration_error when there is none, or when it is in several pieces.
guest_mapping find_mapping(pid_t pid);

} // namespace novacron::migration
