#include "actors/workload/image_tree.hpp"

#include "actors/workload/image_error.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

namespace novacron::workload {
namespace {

owned_fd open_resolved(int root, const std::string& path, int flags, unsigned mode, std::uint64_t resolve) {
  auto how = open_how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  // RESOLVE_IN_ROOT and _BENEATH give EAGAIN when a rename elsewhere raced with them.
  for (auto tries = 0; tries < 16; ++tries) {
    const auto fd = ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN)
      return owned_fd{static_cast<int>(fd)};
  }
  return {};
}

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/// Everything up to the end; false when it is longer than `limit` or cannot be read.
bool read_all(int fd, std::size_t limit, std::string& into) {
  auto block = std::array<char, 65536>{};
  for (;;) {
    const auto count = ::read(fd, block.data(), block.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0 || into.size() + static_cast<std::size_t>(count) > limit)
      return false;
    if (count == 0)
      return true;
    into.append(block.data(), static_cast<std::size_t>(count));
  }
}

bool is_directory(int parent, const std::string& name) {
  struct stat status {};
  return ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

owned_fd open_for_removal(int parent, const std::string& name) {
  constexpr auto flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  auto inside = owned_fd{::openat(parent, name.c_str(), flags)};
  if (!inside && errno == EACCES && ::fchmodat(parent, name.c_str(), 0700, 0) == 0)
    inside = owned_fd{::openat(parent, name.c_str(), flags)};
  // Only root can empty a directory that it may not write.
  if (inside && ::geteuid() != 0)
    ::fchmod(inside.get(), 0700);
  return inside;
}

} // namespace

owned_fd::~owned_fd() {
  if (fd_ >= 0)
    ::close(fd_);
}

owned_fd open_directory(const std::filesystem::path& path) {
  auto fd = owned_fd{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd)
    throw storage_error("cannot open directory " + path.string(), errno);
  return fd;
}

owned_fd open_beneath(int root, const std::string& path, int flags, unsigned mode) {
  return open_resolved(root, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

std::string read_inside(const owned_fd& root, const std::string& path, std::size_t limit) {
  // Non-blocking: a fifo in its place must not hold us up.
  const auto fd = open_resolved(root.get(), path, O_RDONLY | O_NONBLOCK, 0, RESOLVE_IN_ROOT);
  auto content = std::string{};
  return fd && is_regular(fd.get()) && read_all(fd.get(), limit, content) ? content : std::string{};
}

std::string read_file(int directory, const std::string& name, std::size_t limit) {
  const auto fd = owned_fd{::openat(directory, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)};
  if (!fd)
    throw storage_error("cannot open " + name, errno);
  auto content = std::string{};
  if (!is_regular(fd.get()) || !read_all(fd.get(), limit, content))
    throw image_error{image_problem::storage, "cannot read " + name + ", or it is too long"};
  return content;
}

void for_each_name(int directory, const std::function<void(const std::string&)>& each) {
  const auto again = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto stream = std::unique_ptr<DIR, int (*)(DIR*)>{again < 0 ? nullptr : ::fdopendir(again), ::closedir};
  if (!stream)
    throw storage_error("cannot list a directory", errno);
  while (const auto* entry = ::readdir(stream.get()))
    if (const auto name = std::string{entry->d_name}; name != "." && name != "..")
      each(name);
}

void remove_tree(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT)
    return;
  if (!is_directory(parent, name))
    throw storage_error("cannot delete " + name, errno);
  // A directory read while it is emptied may skip names: again until it is empty.
  for (auto tries = 0; tries < 8; ++tries) {
    if (const auto inside = open_for_removal(parent, name))
      for_each_name(inside.get(), [&](const std::string& child) { remove_tree(inside.get(), child); });
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT)
      return;
  }
  throw storage_error("cannot delete directory " + name, errno);
}

void write_all(int fd, std::string_view bytes, const std::string& where) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR)
      throw storage_error("cannot write " + where, errno);
    bytes.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
}

void write_all_at(int fd, std::string_view bytes, off_t offset, const std::string& where) {
  while (!bytes.empty()) {
    const auto count = ::pwrite(fd, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno != EINTR)
      throw storage_error("cannot write " + where, errno);
    const auto written = count > 0 ? static_cast<std::size_t>(count) : 0;
    bytes.remove_prefix(written);
    offset += static_cast<off_t>(written);
  }
}

void write_atomically(int directory, const std::string& name, std::string_view content, bool durable) {
  const auto fresh = name + ".new";
  {
    const auto fd =
        owned_fd{::openat(directory, fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!fd)
      throw storage_error("cannot write " + fresh, errno);
    write_all(fd.get(), content, fresh);
    if (durable && ::fsync(fd.get()) != 0)
      throw storage_error("cannot write " + fresh, errno);
  }
  if (::renameat(directory, fresh.c_str(), directory, name.c_str()) != 0)
    throw storage_error("cannot write " + name, errno);
  if (durable)
    ::fsync(directory);
}

} // namespace novacron::workload
