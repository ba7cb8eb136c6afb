#pragma once

/// Writes down a machine as the command line of QEMU.

#include "actors/workload/machine.hpp"

#include <string>

namespace novacron::workload {

/// The two sockets at which QEMU takes orders: one for the driver, one for whoever must end the machine without it.
constexpr auto qemu_monitor_socket = "monitor.sock";
constexpr auto qemu_end_socket = "end.sock";
/// And one for whoever moves its guest.
constexpr auto qemu_move_socket = "move.sock";
/// What tells it to become what it reads.
constexpr auto qemu_orders = "orders";

machine_command qemu_command(const std::string& program, const machine_plan& plan);

} // namespace novacron::workload
