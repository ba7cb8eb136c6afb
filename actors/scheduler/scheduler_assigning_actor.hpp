#pragma once

/// The part of the scheduler's actor that tells nodes what they shall run, one assignment of each on its way at a time.

#include "actors/scheduler/scheduler_state_actor.hpp"

#include <string>

namespace novacron::scheduler {

/// Begins to tell every node that is here what is new for it.
void assign(scheduler_self self);
/// It is not known what the node has: it is told the whole.
void assign_anew(scheduler_self self, const std::string& node);
/// Sends the node what lies ready for it, if nothing is on its way.
void deliver(scheduler_self self, const std::string& node);
/// Sends those whose turn has come what lies ready for them.
void deliver_next(scheduler_self self);

} // namespace novacron::scheduler
