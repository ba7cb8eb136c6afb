#pragma once

/// Knows for how long no controller has been in reach, also across a restart of the node's process.

#include "messages/vocabulary.hpp"

#include <optional>
#include <set>
#include <string>

namespace novacron::workload {

/// Times are durations since the boot of the host.
class contact {
public:
  /// `noted` is what a former life of this process noted last; a later one than now is of another boot and counts
  /// as "long ago".
  contact(duration now, std::optional<duration> noted);

  void arrive(const std::string& controller, duration now);
  void depart(const std::string& controller, duration now);
  /// A controller said something, whether or not we knew it.
  void hear(duration now);

  /// Since when nobody has been in reach; zero while somebody is.
  [[nodiscard]] duration silence(duration now) const;
  /// The last moment at which a controller was in reach.
  [[nodiscard]] duration last(duration now) const { return present_.empty() ? last_ : now; }
  /// Whether a controller has been heard in this life.
  [[nodiscard]] bool known() const { return known_; }
  /// True now and then while the last contact moves on, so that it can be noted on disk.
  bool worth_noting(duration now);

private:
  std::set<std::string> present_;
  duration last_;
  std::optional<duration> noted_;
  bool known_ = false;
};

/// How old a note may be. The silence after a restart may look longer by this much, never shorter.
constexpr auto note_interval = std::chrono::seconds{2};

} // namespace novacron::workload
