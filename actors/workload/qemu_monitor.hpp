#pragma once

/// Runs machines with QEMU.

#include "actors/workload/machine.hpp"

namespace novacron::workload {

std::shared_ptr<const machine_monitor> make_qemu_monitor(std::string program = "qemu-system-x86_64");

} // namespace novacron::workload
