#include "actors/state/disk_room.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace novacron::ledger {
namespace {

constexpr std::uint64_t reserve_bytes = 1u << 20;

} // namespace

std::uint64_t disk_room::free_bytes() const {
  struct statvfs now {};
  return ::statvfs(directory_.c_str(), &now) == 0 ? now.f_bavail * now.f_frsize : ~std::uint64_t{0};
}

bool disk_room::full() const {
  return free_bytes() < 2 * segment_bytes_ + reserve_bytes;
}

void disk_room::put_aside() const {
  const auto fd = ::open(reserve().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  // A kill may have left one that is not whole.
  struct stat now {};
  const auto whole = ::fstat(fd, &now) == 0 && now.st_size >= static_cast<off_t>(reserve_bytes);
  if (!whole && ::posix_fallocate(fd, 0, reserve_bytes) != 0)
    ::unlink(reserve().c_str());
  ::close(fd);
}

void disk_room::use_up() const {
  ::unlink(reserve().c_str());
}

} // namespace novacron::ledger
