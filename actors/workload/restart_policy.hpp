#pragma once

/// Decides whether and when an instance that ended is started again.

#include "messages/vocabulary.hpp"

#include <cstdint>
#include <optional>

namespace novacron::workload {

class restart_policy {
public:
  enum class when { always, on_failure, never };
  struct config {
    when restart = when::always;
    /// How often at most; 0 means no limit.
    std::uint32_t limit = 0;
    duration delay = std::chrono::milliseconds{100};
    duration delay_max = std::chrono::seconds{30};
    /// A run of this length makes the next delay the first one again.
    duration calm = std::chrono::minutes{10};
  };

  explicit restart_policy(config rules, std::uint32_t restarts = 0) : rules_{rules}, restarts_{restarts} {}

  /// How long to wait before the next start, after a run of `lasted` that ended with `exit_code`; nothing if it
  /// shall not be started again. Counts the restart.
  std::optional<duration> ended(int exit_code, duration lasted);

  /// All restarts so far.
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }

private:
  config rules_;
  std::uint32_t restarts_;
  std::uint32_t in_a_row_ = 0;
};

} // namespace novacron::workload
