#pragma once

/// The templates of a node as an actor: lists, makes and deletes them.

#include "actors/workload/machine_driver.hpp"
#include "messages/agent.hpp"

#include <caf/actor_system.hpp>

#include <memory>
#include <string>

namespace novacron::workload {

struct template_actor_config {
  /// The name of this node, for the answers.
  std::string node;
};

/// Has a thread of its own, because it looks at the disk. `templates` are those that `machines` has.
template_actor spawn_template_actor(caf::actor_system& system, std::shared_ptr<machine_driver> machines,
                                    std::shared_ptr<machine_templates> templates, template_actor_config settings);

} // namespace novacron::workload
