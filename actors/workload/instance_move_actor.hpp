#pragma once

/// How an instance goes to another node while it runs, or comes from one.

#include "actors/workload/instance_state_actor.hpp"

#include <string>

namespace novacron::workload {

/// The machine that shall take the guest in has come up.
void await_guest(instance_self self, bool adopted);
/// A former life of this process left it standing still: finds out where it runs.
void find_out(instance_self self);
/// Sends the guest away, if that is what is assigned, it can go now, and this was not tried yet.
void set_out(instance_self self);
/// Why it can be neither paused nor started again nor changed for now; empty when it can.
std::string on_the_move(instance_self self);
/// What is assigned now of its move.
void heed_move(instance_self self, const move_news& news);
/// Whether the end of the run is nothing but a part of a move, and was heeded.
bool ended_on_the_way(instance_self self, const ended& how);
/// Ends what is under way, where it is not decided yet.
void stop_moving(instance_self self);

} // namespace novacron::workload
