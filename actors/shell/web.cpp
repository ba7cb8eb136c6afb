#include "actors/shell/web.hpp"

#include "actors/shell/interrupt.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <ostream>
#include <thread>

namespace novacron::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto head_bytes_max = std::size_t{16} << 10;
constexpr auto head_wait_ms = 5'000;
/// Chosen: a browser opens six connections to one host; several tabs fit.
constexpr auto visitors_max = 32;

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// A socket that is closed with us.
class socket_owner {
public:
  explicit socket_owner(int fd) : fd{fd} {}
  ~socket_owner() {
    if (fd >= 0)
      ::close(fd);
  }
  socket_owner(const socket_owner&) = delete;
  socket_owner& operator=(const socket_owner&) = delete;
  int get() const { return fd; }

private:
  int fd;
};

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::string read_head(int fd) {
  auto head = std::string{};
  while (head.find("\r\n\r\n") == head.npos && head.size() < head_bytes_max) {
    auto ready = pollfd{fd, POLLIN, 0};
    auto piece = std::array<char, 4096>{};
    if (::poll(&ready, 1, head_wait_ms) <= 0)
      return {};
    const auto count = ::recv(fd, piece.data(), piece.size(), 0);
    if (count <= 0)
      return {};
    head.append(piece.data(), static_cast<std::size_t>(count));
  }
  return head;
}

std::string plain_answer(int status, const std::string& location, std::string_view text) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
                     status, text.size(), location.empty() ? "" : "Location: " + location + "\r\n", text);
}

void serve(int fd, const std::string& key, const client& pattern) {
  const auto visitor = socket_owner{fd};
  // A browser that stops reading must not hold a thread for ever.
  const auto patience = timeval{.tv_sec = 30, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const auto asked = read_page_request(read_head(fd), key);
  if (asked.refused != 0) {
    send_all(fd, plain_answer(asked.refused, asked.location, "novacron web: not here\n"));
    return;
  }
  auto begun = false;
  try {
    client{pattern.where(), pattern.trusted(), pattern.timeout()}.relay(
        asked.path, asked.more, [&](std::string_view piece) { return begun = send_all(fd, piece); });
  } catch (const failure& x) {
    if (!begun)
      send_all(fd, plain_answer(502, {}, std::string{"novacron web: "} + x.what() + "\n"));
  } catch (const interrupted&) {
    // The person ended it all.
  } catch (const reader_gone&) {
    // So did whoever read our output.
  }
}

int listen_on_loopback(std::int64_t port) {
  if (port < 0 || port > 65'535)
    throw failure{exit_code::usage, fmt::format("--port is '{}', but must be from 0 to 65535", port)};
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 64) == 0)
    return fd;
  const auto reason = std::string{std::strerror(errno)};
  ::close(fd);
  throw failure{exit_code::conflict,
                fmt::format("cannot listen on 127.0.0.1:{}: {}; --port says another", port, reason)};
}

std::uint16_t port_of(int fd) {
  auto address = sockaddr_in{};
  auto size = socklen_t{sizeof address};
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

/// Threads that each serve one connection.
class visitors {
public:
  ~visitors() {
    for (auto& x : all)
      x.thread.join();
  }

  void welcome(int fd, const std::string& key, const client& pattern) {
    for (auto at = all.begin(); at != all.end();) {
      if (!at->done) {
        ++at;
        continue;
      }
      at->thread.join();
      at = all.erase(at);
    }
    if (all.size() >= visitors_max) {
      ::close(fd);
      return;
    }
    auto& x = all.emplace_back();
    x.thread = std::thread{[&x, fd, &key, &pattern] {
      serve(fd, key, pattern);
      x.done = true;
    }};
  }

private:
  struct visitor {
    std::thread thread;
    std::atomic<bool> done = false;
  };
  std::list<visitor> all;
};

} // namespace

page_request read_page_request(std::string_view head, std::string_view key) {
  const auto end = head.find("\r\n");
  auto line = head.substr(0, end);
  if (end == head.npos || head.find("\r\n\r\n") == head.npos || !line.ends_with(" HTTP/1.1"))
    return {.refused = 400};
  line.remove_suffix(9);
  if (!line.starts_with("GET /"))
    return {.refused = 405};
  line.remove_prefix(5);
  if (line == key)
    return {.refused = 307, .location = "/" + std::string{key} + "/"};
  if (key.empty() || !line.starts_with(key) || line.substr(key.size(), 1) != "/" ||
      line.find_first_of(" \t") != line.npos)
    return {.refused = 404};
  auto out = page_request{.path = std::string{line.substr(key.size())}};
  for (auto rest = head.substr(end + 2); !rest.empty() && !rest.starts_with("\r\n");) {
    const auto stop = std::min(rest.find("\r\n"), rest.size());
    const auto field = rest.substr(0, stop);
    const auto name = field.substr(0, field.find(':'));
    if (same_name(name, "accept") || same_name(name, "last-event-id"))
      out.more.append(field).append("\r\n");
    rest.remove_prefix(std::min(stop + 2, rest.size()));
  }
  return out;
}

int web(const invocation& what, session& with) {
  const auto listener = socket_owner{listen_on_loopback(what.number("port", 0))};
  // Whoever cannot reach the fabric learns it here, not in the browser.
  with.fabric().get("/v1/version");
  const auto key = fresh_key();
  const auto& pattern = with.fabric();
  with.out << fmt::format("http://127.0.0.1:{}/{}/\n", port_of(listener.get()), key) << std::flush;
  with.err << "open this in a browser of this machine; it shows and changes nothing. Ctrl-C ends it" << std::endl;
  auto all = visitors{};
  try {
    while (true) {
      if (interrupt::wait(listener.get(), POLLIN, -1) == 0)
        continue;
      if (const auto fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC); fd >= 0)
        all.welcome(fd, key, pattern);
    }
  } catch (const interrupted&) {
    with.err << std::endl;
  }
  return 0;
}

} // namespace novacron::shell
