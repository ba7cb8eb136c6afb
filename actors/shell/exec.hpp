#pragma once

/// Commands inside an instance, with our terminal or with our pipes.

#include "actors/shell/session.hpp"

namespace novacron::shell {

/// `exec [-it] INSTANCE COMMAND...`; returns the exit code of the command. The terminal is always given back as it was.
int exec(const invocation& what, session& with);

} // namespace novacron::shell
