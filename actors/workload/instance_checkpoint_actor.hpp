#pragma once

/// How what runs is written down, and put back to that.

#include "actors/workload/instance_state_actor.hpp"

#include <caf/result.hpp>

#include <string>

namespace novacron::workload {

caf::result<wire::Checkpoint> checkpoint(instance_self self, const wire::CheckpointInstance& x);
caf::result<wire::Restored> restore(instance_self self, const wire::RestoreInstance& x);

/// It runs again; answers whoever waits for that.
void is_restored(instance_self self);
/// It does not, and why.
void is_not_restored(instance_self self, const std::string& why);

} // namespace novacron::workload
