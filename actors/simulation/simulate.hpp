#pragma once

/// The command `simulate`: plays a scenario once, or under many seeds, and tells how it went.

#include "actors/shell/parse.hpp"

namespace novacron::simulation {

/// Returns the exit code: 0 nothing was violated, 1 something was, 2 the scenario or a flag cannot be understood.
int run_simulate(const shell::invocation& x);

} // namespace novacron::simulation
