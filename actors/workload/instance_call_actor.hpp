#pragma once

/// The part of an instance's actor that takes calls of a function: it gives them to the ushers inside what runs.

#include "actors/workload/instance_state_actor.hpp"

#include <caf/result.hpp>

#include <functional>
#include <string>

namespace novacron::workload {

/// Has a handler answer. Conflict (nothing runs, or no lane could be opened) and overloaded (every lane has a call) say
/// that none was given it.
caf::result<wire::Invoked> take_call(instance_self self, const wire::CallInstance& x);

/// The function runs: its first lane is opened before there is a call for it. Does nothing for what is no function.
void open_first_lane(instance_self self);

/// Runs `what` once no call is under way, at once if none is.
void after_calls(instance_self self, std::function<void()> what);

/// What ran is over: whoever waits for an answer hears why there is none.
void end_lanes(instance_self self, const std::string& why);

} // namespace novacron::workload
