#pragma once

/// The checkpoints of a node as an actor: lists and deletes them. They are made by the agent, of what it runs.

#include "actors/workload/machine_driver.hpp"
#include "messages/agent.hpp"

#include <caf/actor_system.hpp>

#include <memory>

namespace novacron::workload {

/// Has a thread of its own, because it looks at the disk. `checkpoints` are those that `machines` has.
checkpoint_actor spawn_checkpoint_actor(caf::actor_system& system, std::shared_ptr<machine_driver> machines,
                                        std::shared_ptr<machine_checkpoints> checkpoints);

} // namespace novacron::workload
