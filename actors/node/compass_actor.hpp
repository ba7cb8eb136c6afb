#pragma once

/// Follows who leads the ledger, so that this node's directory leads to the right scheduler.

#include "actors/node/directory.hpp"
#include "messages/ledger.hpp"

namespace novacron::node {

caf::actor spawn_compass(caf::actor_system& system, ledger_actor ledger, directory& names);

} // namespace novacron::node
