#include "actors/host/unix_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace novacron::host {
namespace {

/// A socket that `use` was done to with its address; -1 with errno when that did not work.
template <class Use>
int socket_in(const std::filesystem::path& directory, const std::string& name, int flags, Use&& use) {
  const auto place = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  auto where = sockaddr_un{};
  where.sun_family = AF_UNIX;
  const auto path = fmt::format("/proc/self/fd/{}/{}", place, name);
  std::memcpy(where.sun_path, path.data(), std::min(path.size(), sizeof where.sun_path - 1));
  const auto done = use(fd, reinterpret_cast<const sockaddr*>(&where), socklen_t{sizeof where});
  const auto why = errno;
  if (place >= 0)
    ::close(place);
  if (!done && fd >= 0)
    ::close(fd);
  errno = why;
  return done ? fd : -1;
}

} // namespace

int connect_in(const std::filesystem::path& directory, const std::string& name, int flags) {
  return socket_in(directory, name, flags,
                   [](int fd, const sockaddr* where, socklen_t size) { return ::connect(fd, where, size) == 0; });
}

int listen_in(const std::filesystem::path& directory, const std::string& name, int flags) {
  return socket_in(directory, name, flags, [](int fd, const sockaddr* where, socklen_t size) {
    return ::bind(fd, where, size) == 0 && ::listen(fd, 1) == 0;
  });
}

} // namespace novacron::host
