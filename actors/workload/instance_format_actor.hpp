#pragma once

/// How what runs changes its format.

#include "actors/workload/instance_state_actor.hpp"

#include <caf/result.hpp>

namespace novacron::workload {

caf::result<wire::Converted> convert(instance_self self, const wire::ConvertInstance& x);
/// Another generation of its workload that says what it is already.
void relabel(instance_self self, const wire::Instance& as);

} // namespace novacron::workload
