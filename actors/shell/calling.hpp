#pragma once

/// Commands about functions: what there is, and calling one.

#include "actors/shell/commands.hpp"
#include "actors/shell/session.hpp"

namespace novacron::shell {

int function_list(const invocation& what, session& with);
int function_show(const invocation& what, session& with);
/// The answer as it is to stdout; what the handler failed with is a failure of the command.
int function_invoke(const invocation& what, session& with);

} // namespace novacron::shell
