#include "spec/twin/cable.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace twin {
namespace {

constexpr auto look_every_ms = 20;
constexpr auto waiting_max = std::size_t{1} << 20;

sockaddr_in at(std::uint16_t port) {
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

} // namespace

cable::cable() {
  door_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = at(0);
  auto length = socklen_t{sizeof address};
  if (door_ < 0 || ::bind(door_, reinterpret_cast<sockaddr*>(&address), length) != 0 || ::listen(door_, 8) != 0 ||
      ::getsockname(door_, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    throw std::system_error{errno, std::system_category(), "cannot lay a cable"};
  port_ = ntohs(address.sin_port);
  thread_ = std::thread{[this] { run(); }};
}

cable::~cable() {
  ends_ = true;
  thread_.join();
  for (auto& x : pairs_)
    for (const auto end : x.ends)
      ::close(end);
  ::close(door_);
}

void cable::accept() {
  const auto near = ::accept4(door_, nullptr, nullptr, SOCK_CLOEXEC);
  if (near < 0)
    return;
  const auto far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = at(target_);
  if (far < 0 || ::connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(near);
    ::close(far);
    return;
  }
  pairs_.push_back({.ends = {near, far}});
}

void cable::carry(pair& x, int from) {
  auto& text = x.waiting[from];
  if (text.size() < waiting_max) {
    char piece[4096];
    const auto count = ::recv(x.ends[from], piece, sizeof piece, MSG_DONTWAIT);
    if (count > 0)
      text.append(piece, static_cast<std::size_t>(count));
    else
      x.over = x.over || count == 0 || (errno != EAGAIN && errno != EINTR);
  }
  if (text.empty())
    return;
  const auto count = ::send(x.ends[1 - from], text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0)
    text.erase(0, static_cast<std::size_t>(count));
  else
    x.over = x.over || (errno != EAGAIN && errno != EINTR);
}

void cable::run() {
  while (!ends_) {
    auto ready = std::vector<pollfd>{{door_, POLLIN, 0}};
    if (!cut_)
      for (const auto& x : pairs_)
        for (const auto end : x.ends)
          ready.push_back({end, POLLIN, 0});
    ::poll(ready.data(), ready.size(), look_every_ms);
    // A connection that is asked for while the cable is cut waits at its door.
    if (cut_)
      continue;
    if (ready.front().revents != 0)
      accept();
    for (auto& x : pairs_) {
      carry(x, 0);
      carry(x, 1);
    }
    std::erase_if(pairs_, [](const pair& x) {
      if (x.over)
        for (const auto end : x.ends)
          ::close(end);
      return x.over;
    });
  }
}

} // namespace twin
