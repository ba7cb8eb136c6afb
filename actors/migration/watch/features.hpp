#pragma once

/// How a userfaultfd is opened that only protects against writes, and tells nobody of them.

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace novacron::migration::watch {

/// UFFD_FEATURE_WP_HUGETLBFS_SHMEM, WP_UNPOPULATED and WP_ASYNC: memory that is shared, pages that are not there yet,
/// and a write that goes on at once with the page marked. Debian 12's headers know only the first.
constexpr auto features = __u64{1} << 12 | __u64{1} << 13 | __u64{1} << 15;

/// Whoever may not have the kernel wait for him may still have his own writes followed: in this way nobody ever waits.
/// What the kernel writes for him is marked as well. (UFFD_USER_MODE_ONLY, which Debian 11's headers lack.)
constexpr auto user_mode_only = 1;

/// The descriptor; -1 where the kernel has no such thing or does not let us.
inline int open_watch() {
  const auto fd = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | user_mode_only));
  if (fd < 0)
    return -1;
  auto api = uffdio_api{UFFD_API, features, 0};
  if (::ioctl(fd, UFFDIO_API, &api) == 0)
    return fd;
  ::close(fd);
  return -1;
}

} // namespace novacron::migration::watch
