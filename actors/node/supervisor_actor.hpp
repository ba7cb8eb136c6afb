#pragma once

/// Keeps the rooms of a node running: an actor that fails is started again behind the same address.

#include "actors/node/directory.hpp"
#include "actors/node/intensity.hpp"

namespace novacron::node {

struct room {
  /// The address under which it is found.
  std::string title;
  /// Makes a new incarnation from known state.
  std::function<caf::actor()> start;
  /// The room whose end is also this one's: it would go on with promises that nobody keeps any more.
  std::string needs = {};
};

/// The supervisor itself: understands only the exit message, on which it ends its rooms, last started first.
caf::actor spawn_supervisor(caf::actor_system& system, directory& names, std::vector<room> rooms,
                            intensity_config limits = {});

} // namespace novacron::node
