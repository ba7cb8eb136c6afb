#include "actors/host/secure_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>

namespace novacron::host {
namespace {

[[noreturn]] void fail(int reason, const char* what, const std::filesystem::path& path) {
  throw std::system_error{reason, std::system_category(), std::string{what} + ' ' + path.string()};
}

struct open_file {
  int fd = -1;
  ~open_file() {
    if (fd >= 0)
      ::close(fd);
  }
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR)
      return false;
    bytes.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  return true;
}

void sync_directory(const std::filesystem::path& path) {
  const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
  const auto directory = open_file{::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.fd < 0 || ::fsync(directory.fd) != 0)
    fail(errno, "cannot sync", parent);
}

} // namespace

void write_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  static auto number = std::atomic<unsigned>{0};
  auto next = path;
  next += ".new." + std::to_string(::getpid()) + '.' + std::to_string(number++);
  {
    ::unlink(next.c_str());
    const auto file = open_file{::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
    if (file.fd < 0)
      fail(errno, "cannot create", next);
    // The umask may have taken bits away.
    if (::fchmod(file.fd, mode) != 0 || !write_all(file.fd, content) || ::fsync(file.fd) != 0) {
      const auto reason = errno;
      ::unlink(next.c_str());
      fail(reason, "cannot write", next);
    }
  }
  if (::rename(next.c_str(), path.c_str()) != 0) {
    const auto reason = errno;
    ::unlink(next.c_str());
    fail(reason, "cannot replace", path);
  }
  sync_directory(path);
}

std::optional<std::string> read_small_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const auto file = open_file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0 && errno == ENOENT)
    return {};
  if (file.fd < 0)
    fail(errno, "cannot open", path);
  auto content = std::string{};
  auto block = std::array<char, 16384>{};
  while (true) {
    const auto count = ::read(file.fd, block.data(), block.size());
    if (count == 0)
      return content;
    if (count < 0 && errno != EINTR)
      fail(errno, "cannot read", path);
    content.append(block.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
    if (content.size() > bytes_max)
      fail(EFBIG, "cannot read", path);
  }
}

} // namespace novacron::host
