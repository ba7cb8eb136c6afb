#pragma once

/// Breaks the TCP connections between two processes of this host, through their own sockets: no rule of the network is
/// touched, and nobody else's connection.

#include <sys/types.h>

#include <cstddef>
#include <vector>

namespace novacron::spec {

/// The ends in process `one` of what it is connected with to process `other`, at this moment.
class borrowed_links {
public:
  borrowed_links(pid_t one, pid_t other);
  ~borrowed_links();
  borrowed_links(const borrowed_links&) = delete;
  borrowed_links& operator=(const borrowed_links&) = delete;

  [[nodiscard]] std::size_t count() const { return ends_.size(); }
  /// Both sides see them break at once.
  void reset();
  /// All that comes to `one` is lost on its way, and is sent again; nobody is told.
  void mute();
  void unmute();
  /// A byte that nobody sent comes to `other` on one of them.
  void damage();

private:
  std::vector<int> ends_;
};

} // namespace novacron::spec
