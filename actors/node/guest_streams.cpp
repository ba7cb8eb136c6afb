#include "actors/node/guest_streams.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace novacron::node {
namespace {

using namespace std::chrono_literals;
using migration::channel;
using migration::migration_error;

/// Chosen: who has not shaken hands by then will not; others wait behind it.
constexpr auto handshake_patience = 3s;
constexpr auto no_end = std::chrono::milliseconds{-1};
/// Chosen: the source connects as soon as it knows where; it hears that from the controller.
constexpr auto first_patience_ms = 120'000;
constexpr auto look_ms = 200;
constexpr auto connect_patience_ms = 1'500;

int connect_to(const std::string& text, std::string& problem) {
  const auto colon = text.rfind(':');
  auto to = sockaddr_in{};
  to.sin_family = AF_INET;
  auto port = std::uint16_t{0};
  const auto end = text.data() + text.size();
  if (colon == text.npos || std::from_chars(text.data() + colon + 1, end, port).ptr != end ||
      ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    problem = "no address";
    return -1;
  }
  to.sin_port = htons(port);
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  auto failed = errno;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0)
    return fd;
  failed = errno;
  if (failed == EINPROGRESS) {
    auto x = pollfd{fd, POLLOUT, 0};
    auto size = static_cast<socklen_t>(sizeof failed);
    failed = ETIMEDOUT;
    if (::poll(&x, 1, connect_patience_ms) > 0)
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (failed == 0)
      return fd;
  }
  ::close(fd);
  problem = std::strerror(failed);
  return -1;
}

} // namespace

guest_inlet::guest_inlet(std::shared_ptr<host::tls_context> context, std::stop_token stop)
    : context_{std::move(context)}, fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, stop_{std::move(stop)} {
  auto here = sockaddr_in{};
  here.sin_family = AF_INET;
  auto size = static_cast<socklen_t>(sizeof here);
  if (::bind(fd_, reinterpret_cast<const sockaddr*>(&here), size) != 0 || ::listen(fd_, 64) != 0 ||
      ::getsockname(fd_, reinterpret_cast<sockaddr*>(&here), &size) != 0) {
    const auto problem = errno;
    ::close(fd_);
    throw migration_error{std::string{"cannot listen for what shall come: "} + std::strerror(problem)};
  }
  port_ = ntohs(here.sin_port);
  // Whoever waits for a connection is woken by this.
  wake_.emplace(stop_, [fd = fd_] { ::shutdown(fd, SHUT_RDWR); });
}

guest_inlet::~guest_inlet() {
  wake_.reset();
  ::close(fd_);
}

std::vector<std::string> guest_inlet::where() const {
  auto found = std::vector<std::string>{};
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) == 0) {
    for (const auto* each = all; each != nullptr; each = each->ifa_next) {
      if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET || (each->ifa_flags & IFF_UP) == 0 ||
          (each->ifa_flags & IFF_LOOPBACK) != 0)
        continue;
      auto text = std::array<char, INET_ADDRSTRLEN>{};
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr, text.data(), text.size());
      found.push_back(fmt::format("{}:{}", text.data(), port_));
    }
    ::freeifaddrs(all);
  }
  // For nodes on one host.
  found.push_back(fmt::format("127.0.0.1:{}", port_));
  return found;
}

int guest_inlet::accept() const {
  const auto fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (stop_.stop_requested() || fd < 0) {
    if (fd >= 0)
      ::close(fd);
    throw migration_error{stop_.stop_requested() ? "it was cancelled" : "nobody can connect any more"};
  }
  return fd;
}

std::unique_ptr<channel> guest_inlet::await_first(const std::function<bool(const migration::disk_hello&)>& knows) {
  for (;;) {
    auto x = pollfd{fd_, POLLIN, 0};
    if (::poll(&x, 1, first_patience_ms) == 0)
      throw migration_error{"its source did not connect; the two nodes may not reach one another"};
    const auto fd = accept();
    try {
      auto way = migration::make_tls_channel(fd, *context_, host::tls_side::server, handshake_patience);
      hello_ = migration::read_disk_hello(*way);
      if (!knows(hello_))
        continue;
      // Nothing comes on it while the memory does.
      way->set_patience(no_end);
      return way;
    } catch (const migration_error&) {
      // A stranger; the refusal was counted where hands are shaken.
    }
  }
}

std::unique_ptr<channel> guest_inlet::await(const std::function<bool()>& goes_on) {
  for (;;) {
    for (auto x = pollfd{fd_, POLLIN, 0}; ::poll(&x, 1, look_ms) == 0;)
      if (!goes_on())
        throw migration_error{"its source does not go on"};
    const auto fd = accept();
    try {
      auto way = migration::make_tls_channel(fd, *context_, host::tls_side::server, handshake_patience);
      way->set_patience(migration::usual_patience);
      return way;
    } catch (const migration_error&) {
      // A stranger, as above.
    }
  }
}

guest_outlet::guest_outlet(std::shared_ptr<host::tls_context> context, std::vector<std::string> where)
    : context_{std::move(context)}, where_{std::move(where)} {}

std::unique_ptr<migration::tls_channel> guest_outlet::connect() {
  auto problems = std::vector<std::string>{};
  for (const auto& each : std::vector<std::string>{where_}) {
    auto problem = std::string{};
    const auto fd = connect_to(each, problem);
    try {
      if (fd >= 0) {
        auto way = migration::make_tls_channel(fd, *context_, host::tls_side::client);
        where_ = {each};
        return way;
      }
    } catch (const migration_error& error) {
      problem = error.what();
    }
    problems.push_back(fmt::format("{} ({})", each, problem));
  }
  throw migration_error{fmt::format("the target cannot be reached at {}", fmt::join(problems, ", "))};
}

} // namespace novacron::node
