#pragma once

/// The assignments on their way to nodes: of each node one message at a time, and none again that was not answered.

#include "actors/scheduler/reconciler.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// What a message said that was not answered may have become wrong until it can be sent again: it is made anew.
class outbox {
public:
  /// Messages have at most about `bytes_max`. At most `under_way_max` are waited for at a time; those that take longer
  /// than `slow_after` no longer count, so that nodes that say nothing hold nobody up.
  explicit outbox(std::size_t bytes_max = 1 << 20, std::size_t under_way_max = 1024,
                  duration slow_after = std::chrono::seconds{1})
      : bytes_max_{bytes_max}, under_way_max_{under_way_max}, slow_after_{slow_after} {}

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
  /// The next message for the node; nothing while one is on its way. Where too many are on their way to others, it is
  /// the node's turn later.
  std::optional<parcel> take(const std::string& node, instant now);
  /// The node whose turn it is by now.
  std::optional<std::string> next(instant now);
  /// When time alone makes it somebody's turn.
  std::optional<instant> wake() const;
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
  bool drop(const std::string& node);
  void clear();

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
    /// Its turn is still to come.
    bool queued = false;
    unsigned attempts = 0;
  };
  delivery* find(const std::string& node, std::uint64_t number);
  void begin(delivery& x, assignment what) const;
  void answered(delivery& x);
  bool room(instant now);
  static unsigned pause(delivery& x);

  std::size_t bytes_max_;
  std::size_t under_way_max_;
  duration slow_after_;
  std::uint64_t numbers_ = 0;
  std::map<std::string, delivery> all_;
  /// Since when what is waited for is under way, by its number.
  std::map<std::uint64_t, instant> under_way_;
  /// Whose turn comes; those that were dropped meanwhile are passed over.
  std::deque<std::string> turns_;
};

} // namespace novacron::scheduler
