#include "actors/host/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace novacron::host {
namespace {

[[noreturn]] void fail(const std::filesystem::path& name) {
  throw std::system_error{errno, std::system_category(), "cannot write " + name.string()};
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const auto count = ::write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return false;
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void settle(const std::filesystem::path& name, int flags) {
  const auto fd = ::open(name.c_str(), flags | O_CLOEXEC);
  const auto settled = fd >= 0 && ::fsync(fd) == 0;
  const auto problem = errno;
  if (fd >= 0)
    ::close(fd);
  errno = problem;
  if (!settled)
    fail(name);
}

} // namespace

std::optional<std::string> read_file(const std::filesystem::path& name, std::size_t limit) {
  const auto fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return {};
  auto content = std::string{};
  auto block = std::array<char, 16384>{};
  auto count = ::read(fd, block.data(), block.size());
  for (; count > 0 && content.size() < limit; count = ::read(fd, block.data(), block.size()))
    content.append(block.data(), std::min(static_cast<std::size_t>(count), limit - content.size()));
  ::close(fd);
  if (count < 0)
    return {};
  return content;
}

void replace_file(const std::filesystem::path& name, std::string_view content, bool durable) {
  auto part = name;
  part += ".new";
  const auto fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    fail(part);
  const auto written = write_all(fd, content) && (!durable || ::fsync(fd) == 0);
  const auto problem = errno;
  ::close(fd);
  errno = problem;
  if (!written || std::rename(part.c_str(), name.c_str()) != 0) {
    const auto kept = errno;
    ::unlink(part.c_str());
    errno = kept;
    fail(name);
  }
  if (durable)
    settle(name.parent_path(), O_RDONLY | O_DIRECTORY);
}

void settle_file(const std::filesystem::path& name) {
  settle(name, O_RDONLY);
  settle(name.parent_path(), O_RDONLY | O_DIRECTORY);
}

namespace {

class host_disk : public disk {
public:
  void make_directory(const std::filesystem::path& name) override { std::filesystem::create_directories(name); }
  std::optional<std::string> read(const std::filesystem::path& name) override { return read_file(name); }
  void replace(const std::filesystem::path& name, std::string_view content) override { replace_file(name, content); }
  void settle(const std::filesystem::path& name) override { settle_file(name); }
};

} // namespace

std::shared_ptr<disk> own_disk() {
  return std::make_shared<host_disk>();
}

} // namespace novacron::host
