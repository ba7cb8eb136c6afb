#pragma once

/// Decides what machine a sandbox or a virtual machine gets, and what its guest is told to run.

#include "actors/host/netlink.hpp"
#include "actors/host/resolver.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/image_user.hpp"
#include "actors/workload/machine.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace novacron::workload {

/// The names of what is in a machine's directory.
constexpr auto machine_root_file = "root.disk";
constexpr auto machine_box_file = "box";
constexpr auto machine_seed_file = "seed.iso";
constexpr auto machine_base_file = "base.disk";
/// There while somebody else may have been told already to run what is in this machine.
constexpr auto machine_departing_file = "departing";
constexpr auto machine_control_socket = "control.sock";
constexpr auto machine_agent_end_socket = "end.sock";
/// "CODE OUT_OF_MEMORY" and a line with words, from the agent in the guest.
constexpr auto machine_outcome_file = "how";

/// What of the host matters to its machines.
struct machine_host {
  /// A guest that runs on the processor itself was seen to work.
  bool accelerated = false;
  std::uint32_t cpus = 1;
  /// The rate of the processor's time stamps in kHz; 0 when it is not known.
  std::uint64_t stamp_khz = 0;
  std::string kernel;
  /// The first files of a small machine, and of a whole computer.
  std::string small_files;
  std::string whole_files;
  /// Kernel and first files, by their content.
  std::string guest;
  std::uint32_t processes_max = 4096;
};

/// What a guest is told at its start and at no other, so that it is no other's twin.
struct guest_birth {
  /// Bytes that nobody else was given.
  std::string chance;
  /// The time, in nanoseconds since 1970.
  std::int64_t now_ns = 0;
};

/// What a machine boots from.
struct machine_image {
  /// A disk with a boot loader of its own, in which no agent of ours is.
  bool whole_disk = false;
};

/// The network that a machine was given.
struct machine_link {
  machine_network::kind how = machine_network::kind::none;
  host::ipv4 address;
  host::ipv4 gateway;
  host::resolver resolver;
};
/// The addresses of a relayed network, as QEMU's has them.
machine_link relayed_link();

/// Why it cannot be run as a machine; empty if it can.
std::string refuse_machine(const wire::WorkloadSpec& spec, const process_arguments& process, const machine_image& image,
                           const std::vector<std::filesystem::path>& mountable);

/// Memory of the guest: what was asked for, and what its kernel needs besides.
std::uint64_t machine_memory(const wire::WorkloadSpec& spec);
/// The most that the machine's process may use on the host.
std::uint64_t machine_memory_limit(const wire::WorkloadSpec& spec);

machine_plan plan_machine(const wire::Instance& what, const machine_host& host, const machine_image& image,
                          const machine_link& link);

/// What the agent in the guest reads from the box disk: whole sectors, zeros at the end.
std::string box_content(const wire::Instance& what, const process_arguments& process, const process_user& user,
                        const machine_host& host, const machine_link& link, const guest_birth& birth, int stop_signal,
                        std::uint64_t files_max);

/// The same for a guest that was restored: only what may be another's until it is told. One that is not the instance
/// which it was written down as gets a machine id of its own.
std::string renewal_content(const wire::Instance& what, const machine_link& link, const guest_birth& birth,
                            bool is_another);

/// The files of a NoCloud disk for cloud-init: (name, content).
std::vector<std::pair<std::string, std::string>> seed_files(const wire::Instance& what, const machine_link& link);

/// How a run ended by what the agent noted ("CODE OUT_OF_MEMORY", words), if that is whole.
std::optional<ended> parse_outcome(const std::string& text);

} // namespace novacron::workload
