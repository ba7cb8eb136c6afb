#pragma once

/// The commands of the program that are carried out in its own process.

#include "actors/shell/shell_main.hpp"

namespace novacron::node {

shell::process_commands process_commands();

} // namespace novacron::node
