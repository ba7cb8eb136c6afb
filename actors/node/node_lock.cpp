#include "actors/node/node_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
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
                             + std::string{text.data(), static_cast<std::size_t>(count > 0 ? count : 0)} + ")"};
  }
  const auto pid = std::to_string(::getpid());
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0)
    throw std::system_error{errno, std::system_category(), "cannot write " + file.string()};
}

node_lock::~node_lock() {
  ::close(fd_);
}

} // namespace novacron::node
