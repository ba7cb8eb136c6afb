#pragma once

/// Takes what QEMU says of a machine when it is told to write its state.

#include "actors/host/loop.hpp"
#include "actors/workload/outcome.hpp"
#include "actors/workload/qmp.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace novacron::workload {

/// Answers with the state of the machine in `directory`, without its memory; the machine has stopped then.
void save_state(host::loop& loop, const std::filesystem::path& directory, std::shared_ptr<qmp_client> client,
                then<std::string> done);

} // namespace novacron::workload
