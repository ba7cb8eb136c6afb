#include "actors/node/node_lock.hpp"

#include "actors/host/log.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>

namespace novacron::node {

node_lock::node_lock(const std::filesystem::path& data_dir) {
  const auto file = data_dir / "lock";
  fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0)
    throw std::system_error{errno, std::system_category(), "cannot use " + file.string()};
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    auto text = std::array<char, 32>{};
    const auto count = ::read(fd_, text.data(), text.size() - 1);
    ::close(fd_);
    throw std::runtime_error{"a node is running in " + data_dir.string() + " already (process "
                             + (count > 0 ? std::string{text.data(), static_cast<std::size_t>(count)} : "unknown") + ")"};
  }
  const auto pid = std::to_string(::getpid());
  // Over the one before, which needs no room. It only helps people: a full disk is no reason to refuse the start.
  const auto written = ::pwrite(fd_, pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size());
  if (::ftruncate(fd_, written ? static_cast<off_t>(pid.size()) : 0) != 0 || !written)
    host::log_warn("node", "{} is locked, but does not say by which process: {}", file.string(), std::strerror(errno));
}

node_lock::~node_lock() {
  ::close(fd_);
}

} // namespace novacron::node
