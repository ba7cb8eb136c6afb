#pragma once

/// Commands that empty a node, and say what becomes of each instance there.

#include "actors/shell/commands.hpp"
#include "actors/shell/session.hpp"

namespace novacron::shell {

int node_drain(const invocation& what, session& with);
int node_undrain(const invocation& what, session& with);

} // namespace novacron::shell
