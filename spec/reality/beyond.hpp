#pragma once

/// Another host, one hop away: a network namespace with a web server that has no way back but to this host.

#include "actors/host/process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace novacron::spec {

class beyond {
public:
  /// Serves `www` with the busybox of /bin at `address`.
  explicit beyond(const std::filesystem::path& www);
  ~beyond();
  beyond(const beyond&) = delete;
  beyond& operator=(const beyond&) = delete;

  /// From TEST-NET-2 (RFC 5737): nobody is there.
  static constexpr auto address = "198.51.100.2";

  /// Runs a command over there; its output, and whether it was successful.
  [[nodiscard]] host::finished run(std::vector<std::string> argv) const;

private:
  host::child child_;
};

} // namespace novacron::spec
