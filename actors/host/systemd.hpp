#pragma once

/// Tells systemd how this process is doing (sd_notify's protocol), without its library.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::host {

/// Where and how often to tell; without a socket every call does nothing.
class service_notifier {
public:
  /// `socket` is a path, or a name in the abstract namespace when it begins with '@'. Empty: nobody listens.
  service_notifier(std::string socket, std::optional<std::chrono::microseconds> watchdog);
  /// What NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID say; takes them out of the environment, so that children do
  /// not speak for us.
  static service_notifier from_environment();

  /// Start-up is done.
  bool ready(std::string_view status) const;
  /// One line for `systemctl status`.
  bool status(std::string_view text) const;
  /// Shut-down has begun.
  bool stopping(std::string_view status) const;
  /// Still alive.
  bool beat() const;
  /// How often to call beat(): half of the patience that systemd has; nothing when it does not watch.
  std::optional<std::chrono::microseconds> beat_period() const;

private:
  bool send(std::string message) const;

  std::string socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

} // namespace novacron::host
