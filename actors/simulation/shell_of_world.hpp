#pragma once

/// The interactive shell of a simulated fabric: every command of the shell, and the verbs of the world beside them.

#include "actors/simulation/scenario.hpp"

namespace novacron::simulation {

/// Reads commands from the terminal, or from standard input, until it ends; returns the exit code of the last failure
/// of a script, 0 for a person. `what` is what `of` has played.
int run_shell_of(player& of, const scenario& what);

} // namespace novacron::simulation
