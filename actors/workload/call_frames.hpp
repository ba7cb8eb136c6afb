#pragma once

/// The frames in which the actor of an instance and the usher inside it speak; see usher.cpp for the form.

#include "messages/function.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::workload {

/// A call for the handler, which has that long to answer. Longer bodies than `call_bytes_max` end the lane.
std::string call_frame(std::string_view body, std::chrono::milliseconds limit);

struct lane_word {
  enum class kind {
    /// The lane takes calls.
    ready,
    /// `text` is what the handler answered.
    answered,
    /// `text` says how the handler failed.
    failed,
    /// The handler was killed since its time was over.
    late,
    /// This is no usher that we know; nothing more can be read.
    foreign,
  };
  kind what;
  std::string text = {};
  bool operator==(const lane_word&) const = default;
};

/// Reads what an usher says, however it is cut.
class lane_reader {
public:
  void take(std::string_view bytes) { waiting_ += bytes; }
  /// The next word; nothing while it is not whole.
  std::optional<lane_word> next();

private:
  std::string waiting_;
  bool foreign_ = false;
};

} // namespace novacron::workload
