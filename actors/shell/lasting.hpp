#pragma once

/// Work of the fabric that takes longer than a request: begun, watched, and left alone on Ctrl-C.

#include "actors/shell/session.hpp"

#include <string>

namespace novacron::shell {

/// Orders what may take long and waits for its end, as long as --timeout says (else ten minutes). Returns the answer;
/// throws `failure` when it failed or time is up.
std::string lasting(const std::string& path, const std::string& json, const invocation& what, session& with);

/// Waits for the end of an operation in the same way.
std::string end_of_operation(const std::string& id, const invocation& what, session& with);

} // namespace novacron::shell
