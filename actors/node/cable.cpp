#include "actors/node/cable.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <vector>

namespace novacron::node {
namespace {

int connect_to(const std::string& host, std::uint16_t port) {
  const auto hints = addrinfo{.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return -1;
  const auto addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>{found, &::freeaddrinfo};
  const auto fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, found->ai_addr, found->ai_addrlen) == 0)
    return fd;
  if (fd >= 0)
    ::close(fd);
  return -1;
}

struct pair_of_ends {
  int near = -1;
  int far = -1;
};

/// Passes on what can be read now; false when this end is over.
bool pump(int from, int to) {
  auto block = std::array<char, 65536>{};
  const auto count = ::recv(from, block.data(), block.size(), MSG_DONTWAIT);
  if (count < 0)
    return errno == EAGAIN || errno == EINTR;
  auto sent = ssize_t{0};
  while (sent < count) {
    const auto wrote = ::send(to, block.data() + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL);
    if (wrote <= 0)
      return false;
    sent += wrote;
  }
  return count > 0;
}

} // namespace

struct cable::state {
  std::string host;
  std::uint16_t target = 0;
  std::uint16_t port = 0;
  int listener = -1;
  std::atomic<bool> is_cut = false;
  std::atomic<bool> over = false;
  std::vector<pair_of_ends> pairs;
  std::thread thread;

  void accept() {
    const auto near = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    const auto far = near < 0 ? -1 : connect_to(host, target);
    if (far >= 0)
      pairs.push_back({near, far});
    else if (near >= 0)
      ::close(near);
  }

  void pass_on() {
    auto waiting = std::vector<pollfd>{{listener, POLLIN, 0}};
    for (const auto& x : pairs) {
      waiting.push_back({x.near, POLLIN, 0});
      waiting.push_back({x.far, POLLIN, 0});
    }
    if (::poll(waiting.data(), waiting.size(), 20) <= 0)
      return;
    auto kept = std::vector<pair_of_ends>{};
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const auto alive = (waiting[1 + 2 * i].revents == 0 || pump(pairs[i].near, pairs[i].far))
                         && (waiting[2 + 2 * i].revents == 0 || pump(pairs[i].far, pairs[i].near));
      if (alive) {
        kept.push_back(pairs[i]);
      } else {
        ::close(pairs[i].near);
        ::close(pairs[i].far);
      }
    }
    pairs = std::move(kept);
    if (waiting[0].revents != 0)
      accept();
  }

  void run() {
    while (!over)
      if (is_cut)
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
      else
        pass_on();
    for (const auto& x : pairs) {
      ::close(x.near);
      ::close(x.far);
    }
  }
};

cable::cable(std::string host, std::uint16_t port) : state_{std::make_unique<state>()} {
  state_->host = std::move(host);
  state_->target = port;
  state_->listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto size = socklen_t{sizeof address};
  if (::bind(state_->listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0
      || ::listen(state_->listener, 64) != 0
      || ::getsockname(state_->listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::system_error{errno, std::system_category(), "cannot lay a cable"};
  state_->port = ntohs(address.sin_port);
  state_->thread = std::thread{[s = state_.get()] { s->run(); }};
}

cable::~cable() {
  state_->over = true;
  state_->thread.join();
  ::close(state_->listener);
}

std::uint16_t cable::port() const {
  return state_->port;
}

void cable::cut() {
  state_->is_cut = true;
}

void cable::heal() {
  state_->is_cut = false;
}

} // namespace novacron::node
