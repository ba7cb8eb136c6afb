#include "actors/host/systemd.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace novacron::host {
namespace {

std::string take_variable(const char* name) {
  const auto* found = std::getenv(name);
  auto text = std::string{found == nullptr ? "" : found};
  ::unsetenv(name);
  return text;
}

std::optional<long long> to_number(std::string_view text) {
  auto number = 0LL;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number <= 0)
    return {};
  return number;
}

/// A line break would begin another assignment.
std::string one_line(std::string_view text) {
  auto line = std::string{text};
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\0'; }, ' ');
  return line;
}

} // namespace

service_notifier::service_notifier(std::string socket, std::optional<std::chrono::microseconds> watchdog)
    : socket_{std::move(socket)}, watchdog_{watchdog} {}

service_notifier service_notifier::from_environment() {
  auto socket = take_variable("NOTIFY_SOCKET");
  const auto patience = to_number(take_variable("WATCHDOG_USEC"));
  const auto whom = take_variable("WATCHDOG_PID");
  const auto meant = whom.empty() || to_number(whom) == ::getpid();
  if (!patience || !meant)
    return {std::move(socket), std::nullopt};
  return {std::move(socket), std::chrono::microseconds{*patience}};
}

bool service_notifier::ready(std::string_view status) const {
  return send("READY=1\nSTATUS=" + one_line(status) + "\nMAINPID=" + std::to_string(::getpid()));
}

bool service_notifier::status(std::string_view text) const {
  return send("STATUS=" + one_line(text));
}

bool service_notifier::stopping(std::string_view status) const {
  return send("STOPPING=1\nSTATUS=" + one_line(status));
}

bool service_notifier::beat() const {
  return send("WATCHDOG=1");
}

std::optional<std::chrono::microseconds> service_notifier::beat_period() const {
  if (socket_.empty() || !watchdog_)
    return {};
  return *watchdog_ / 2;
}

bool service_notifier::send(std::string message) const {
  auto address = sockaddr_un{};
  address.sun_family = AF_UNIX;
  if (socket_.size() < 2 || socket_.size() >= sizeof address.sun_path || (socket_[0] != '/' && socket_[0] != '@'))
    return false;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_[0] == '@')
    address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const auto fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  const auto sent = ::sendto(fd, message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&address), length);
  ::close(fd);
  return sent == static_cast<ssize_t>(message.size());
}

} // namespace novacron::host
