#include "spec/reality/borrowed_links.hpp"

#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace novacron::spec {
namespace {

namespace fs = std::filesystem;

/// Address and port.
using end = std::pair<std::uint32_t, std::uint16_t>;

struct borrowed {
  int fd = -1;
  end here;
  end there;
};

end end_of(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
  auto found = sockaddr_in{};
  auto size = static_cast<socklen_t>(sizeof found);
  if (ask(fd, reinterpret_cast<sockaddr*>(&found), &size) != 0 || found.sin_family != AF_INET)
    return {};
  return {found.sin_addr.s_addr, found.sin_port};
}

/// All connected sockets of a process, as descriptors of our own.
std::vector<borrowed> connections_of(pid_t pid) {
  auto found = std::vector<borrowed>{};
  const auto process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process < 0)
    return found;
  auto gone = std::error_code{};
  for (const auto& each : fs::directory_iterator{"/proc/" + std::to_string(pid) + "/fd", gone}) {
    if (!fs::read_symlink(each.path(), gone).string().starts_with("socket:"))
      continue;
    auto x = borrowed{.fd = static_cast<int>(
                          ::syscall(SYS_pidfd_getfd, process, std::stoi(each.path().filename().string()), 0))};
    if (x.fd < 0)
      continue;
    x.here = end_of(x.fd, ::getsockname);
    x.there = end_of(x.fd, ::getpeername);
    if (x.there == end{})
      ::close(x.fd);
    else
      found.push_back(x);
  }
  ::close(process);
  return found;
}

} // namespace

borrowed_links::borrowed_links(pid_t one, pid_t other) {
  const auto theirs = connections_of(other);
  for (const auto& x : connections_of(one)) {
    if (std::ranges::any_of(theirs, [&](const auto& y) { return x.here == y.there && x.there == y.here; }))
      ends_.push_back(x.fd);
    else
      ::close(x.fd);
  }
  for (const auto& y : theirs)
    ::close(y.fd);
}

borrowed_links::~borrowed_links() {
  for (const auto fd : ends_)
    ::close(fd);
}

void borrowed_links::reset() {
  // To connect a socket with nobody ends its connection with a reset.
  auto nobody = sockaddr{};
  nobody.sa_family = AF_UNSPEC;
  for (const auto fd : ends_)
    ::connect(fd, &nobody, sizeof nobody);
}

void borrowed_links::mute() {
  auto none = sock_filter{BPF_RET | BPF_K, 0, 0, 0};
  const auto filter = sock_fprog{1, &none};
  for (const auto fd : ends_)
    ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

void borrowed_links::unmute() {
  const auto ignored = 0;
  for (const auto fd : ends_)
    ::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &ignored, sizeof ignored);
}

void borrowed_links::damage() {
  const auto byte = '!';
  if (!ends_.empty())
    ::send(ends_.back(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

} // namespace novacron::spec
