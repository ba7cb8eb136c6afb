#pragma once

/// Shows the actors of this node, lets people talk to them, and keeps what passed through their addresses.

#include "actors/host/metrics.hpp"
#include "actors/node/directory.hpp"
#include "messages/observer.hpp"
#include "messages/vocabulary.hpp"

namespace novacron::node {

struct observer_config {
  /// A trace that nobody asks for any more ends after this.
  duration trace_rest = std::chrono::seconds{30};
  /// How often a waiting trace looks again.
  duration look = std::chrono::milliseconds{50};
  /// Messages that a trace keeps at most.
  std::uint32_t trace_max = 1000;
  /// The longest that Ask waits for an answer.
  duration ask_max = std::chrono::minutes{2};
  /// How long actors may take to say how far they have come, before what is known goes into the metrics.
  duration mailbox_patience = std::chrono::milliseconds{100};
  std::function<std::int64_t()> wall_clock_ms;
};

observer_actor spawn_observer(caf::actor_system& system, directory& names, std::shared_ptr<host::metrics> numbers,
                              observer_config settings);

} // namespace novacron::node
