#pragma once

/// Writes down a machine as the command line of QEMU.

#include "actors/workload/machine.hpp"

#include <string>
#include <string_view>

namespace novacron::workload {

/// The two sockets at which QEMU takes orders: one for the driver, one for whoever must end the machine without it.
constexpr auto qemu_monitor_socket = "monitor.sock";
constexpr auto qemu_end_socket = "end.sock";

machine_command qemu_command(const std::string& program, const machine_plan& plan);

/// Why a QEMU that says this of itself ("QEMU emulator version 7.2.22 (...)") does not do; empty when it does, or when
/// it does not say which one it is.
std::string lack_of_version(std::string_view said);

} // namespace novacron::workload
