#pragma once

/// The page in which novacron notes how long a controller has been out of reach, and shims read it; on libc alone.

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace novacron::shim {

/// The content of the file. Shims outlive the novacron that started them: the layout only grows.
struct lease_page {
  /// Nanoseconds since boot at which something was sent that a controller has answered; 0 for never in this boot.
  uint64_t confirmed;
  /// The boot that this is about, as /proc/sys/kernel/random/boot_id tells it.
  char boot[40];
};

/// Time since boot, sleep included: the same clock for every process of this host, and nobody can set it.
inline uint64_t boot_nanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

/// The page of that file, shared with whoever else has it; null when there is none. A file and not a message, because
/// a store to it costs nothing, cannot be seen half done, and works on a full disk.
inline lease_page* share_lease(const char* file, bool writable) {
  const int fd = open(file, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  struct stat facts = {};
  void* page = MAP_FAILED;
  if (fd >= 0 && fstat(fd, &facts) == 0 && facts.st_size >= static_cast<off_t>(sizeof(lease_page)))
    page = mmap(nullptr, sizeof(lease_page), writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0)
    close(fd);
  return page == MAP_FAILED ? nullptr : static_cast<lease_page*>(page);
}

inline uint64_t confirmed_in(const lease_page& page) { return __atomic_load_n(&page.confirmed, __ATOMIC_RELAXED); }
inline void confirm_in(lease_page& page, uint64_t when) { __atomic_store_n(&page.confirmed, when, __ATOMIC_RELAXED); }

} // namespace novacron::shim
