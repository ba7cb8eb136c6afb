#pragma once

/// The assignments on their way to nodes: of each node one message at a time, and none again that was not answered.

#include "actors/scheduler/reconciler.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// What a message said that was not answered may have become wrong until it can be sent again: it is made anew.
class outbox {
public:
  /// Messages have at most about `bytes_max`.
  explicit outbox(std::size_t bytes_max = 1 << 20) : bytes_max_{bytes_max} {}

  struct parcel {
    /// Names this sending of it; an answer to another one says nothing.
    std::uint64_t number = 0;
    assignment what;
  };
  struct verdict {
    /// The node has all of the assignment with this revision.
    std::optional<std::uint64_t> delivered;
    /// There is something more to send to the node now.
    bool more = false;
  };

  /// Takes the place of what waits for its node. False if it is a change that is longer than a message: only the whole
  /// comes in parts.
  [[nodiscard]] bool put(assignment what);
  /// The next message for the node; nothing while one is on its way.
  std::optional<parcel> take(const std::string& node);
  /// The message was answered.
  verdict done(const std::string& node, std::uint64_t number);
  /// The message was not answered. How many attempts there were, so that a pause can be made before what is to be made
  /// anew; 0 if that does not matter any more, or the pause is being made.
  unsigned failed(const std::string& node, std::uint64_t number);
  /// The same for what cannot be sent now.
  unsigned postpone(const std::string& node);
  /// The pause is over. True if what is for the node is to be made anew now.
  bool resume(const std::string& node);
  /// The node has another assignment than the message changes. True if what is for the node is to be made anew now.
  bool astray(const std::string& node, std::uint64_t number);
  /// Gives up what waits for the node; false if there is nothing.
  bool drop(const std::string& node) { return all_.erase(node) > 0; }
  void clear() { all_.clear(); }

private:
  struct delivery {
    /// None after a failure.
    std::vector<assignment> parts;
    std::size_t part = 0;
    std::uint64_t revision = 0;
    /// Came while the former was on its way.
    std::optional<assignment> newer;
    std::uint64_t number = 0;
    bool asked = false;
    bool paused = false;
    unsigned attempts = 0;
  };
  delivery* find(const std::string& node, std::uint64_t number);
  void begin(delivery& x, assignment what) const;
  static unsigned pause(delivery& x);

  std::size_t bytes_max_;
  std::uint64_t numbers_ = 0;
  std::map<std::string, delivery> all_;
};

} // namespace novacron::scheduler
