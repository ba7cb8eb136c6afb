#pragma once

/// The part of an instance's actor that has people work inside what runs: sessions of exec.

#include "actors/workload/instance_state_actor.hpp"

#include <caf/result.hpp>

namespace novacron::workload {

caf::result<wire::ExecSession> open_session(instance_self self, const wire::ExecStart& x);
/// Gives a session its input and takes its output; one that has ended is forgotten with its last output.
caf::result<wire::ExecOutput> exchange(instance_self self, const wire::ExecExchange& x);

/// Forgets the sessions that were left alone for long.
void drop_idle_sessions(instance_self self);
/// The instance is removed: whoever waits for output hears that the process was killed.
void end_sessions(instance_self self);

} // namespace novacron::workload
