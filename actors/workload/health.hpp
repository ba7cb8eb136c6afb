#pragma once

/// Judges an instance by the answers to its health check.

#include "messages/vocabulary.hpp"

#include <cstdint>
#include <string>

namespace novacron::workload {

class health {
public:
  struct config {
    duration interval = std::chrono::seconds{5};
    duration timeout = std::chrono::seconds{1};
    /// Failures in a row that make the instance unhealthy.
    std::uint32_t failures = 3;
    /// Failures so soon after the start do not count.
    duration grace = std::chrono::seconds{0};
  };
  enum class verdict { unknown, passing, failing };

  health(config rules, instant started) : rules_{rules}, started_{started} {}

  /// Takes the answer to a probe. True once it is unhealthy and must be restarted.
  bool hear(bool good, instant now);

  [[nodiscard]] verdict now() const { return verdict_; }
  [[nodiscard]] const config& rules() const { return rules_; }

private:
  config rules_;
  instant started_;
  std::uint32_t failed_ = 0;
  verdict verdict_ = verdict::unknown;
};

std::string to_string(health::verdict x);

/// Whether the first line of an HTTP answer says that all is well (a status from 200 to 399).
bool http_says_well(const std::string& answer);

} // namespace novacron::workload
