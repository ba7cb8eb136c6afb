#pragma once

/// What stands in the directory of a machine for its process, and what that says of it.

#include "actors/workload/machine.hpp"
#include "actors/workload/machine_plan.hpp"

#include <filesystem>
#include <string>

namespace novacron::workload {

/// What a guest is given that begins now. Throws std::system_error.
guest_birth birth_now();

/// Writes everything that the process reads when it begins, and removes what an earlier one left. `preload` is loaded
/// into it before all else, unless it is empty. Throws std::system_error.
void write_command(const std::filesystem::path& place, const machine_command& what,
                   const std::filesystem::path& preload);

/// Why the machine that runs in `place` cannot go to another node while it does, and what to do instead; empty when it
/// can. `lack` is why nothing is loaded into processes here.
std::string why_machine_stays(const std::filesystem::path& place, const std::string& lack);

} // namespace novacron::workload
