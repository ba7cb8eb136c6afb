#pragma once

/// Knows for how long no controller has been in reach, and whether what this node was told to run still holds.

#include "messages/vocabulary.hpp"

#include <optional>

namespace novacron::workload {

/// Times are durations since the boot of the host.
///
/// A controller counts the node's absence from the last thing it heard, so this side counts from the moment at which
/// that was sent: whatever the wires do, and however late the answer comes, silence is never shorter here than there.
class contact {
public:
  /// `confirmed` is what a former life of this process noted last; zero for never.
  explicit contact(duration confirmed) : confirmed_{confirmed} {}

  /// A controller that speaks for the ledger answered what was sent at `sent`.
  void confirm(duration sent);
  /// A controller said what shall run here.
  void instruct();

  [[nodiscard]] duration confirmed() const { return confirmed_; }
  [[nodiscard]] duration silence(duration now) const { return now - confirmed_; }
  /// Whether a controller has said in this life what shall run here.
  [[nodiscard]] bool instructed() const { return longest_.has_value(); }
  /// Whether what shall run here holds for something that another node takes over after `patience` of silence: there
  /// has been no such silence since it was said, and there is none now.
  [[nodiscard]] bool assured(duration patience, duration now) const;

private:
  duration confirmed_;
  /// The longest silence since the last instruction.
  std::optional<duration> longest_;
};

} // namespace novacron::workload
