#pragma once

/// Commands about moves of what runs: to begin one, to follow it, to end it.

#include "actors/shell/commands.hpp"
#include "actors/shell/session.hpp"

namespace novacron::shell {

int migrate(const invocation& what, session& with);
int migration_list(const invocation& what, session& with);
int migration_history(const invocation& what, session& with);
int migration_show(const invocation& what, session& with);
int migration_cancel(const invocation& what, session& with);

} // namespace novacron::shell
