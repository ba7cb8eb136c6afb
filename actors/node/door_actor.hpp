#pragma once

/// The one actor that a node publishes: lets authenticated peers in, and leads them to the actors of this node.

#include "actors/node/link_actor.hpp"
#include "messages/node.hpp"

#include <map>

namespace novacron::node {

struct door_config {
  /// Peers that this node dials, by name.
  std::map<std::string, address> dials;
  /// Callers that may be in the middle of their introduction at the same time.
  std::size_t introductions_max = 1024;
  /// How the node feels; called for each question.
  std::function<wire::Health()> health;
  /// What Shutdown does.
  std::function<void(const std::string& reason)> leave;
};

/// Starts the door, as "door" in the directory, and the links of this node. Returns what to publish: a gate before the
/// door that lets in only what a stranger may say.
caf::actor spawn_door(caf::actor_system& system, neighbourhood around, door_config settings);

} // namespace novacron::node
