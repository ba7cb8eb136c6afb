#pragma once

/// Runs containers with crun; they outlive the process that started them.

#include "actors/host/networks.hpp"
#include "actors/workload/driver.hpp"
#include "messages/vocabulary.hpp"

namespace novacron::workload {

/// What is where in `<data>/instances/NAME/`:
///
///     instance.pb   wire::Instance: what shall run (name, epoch, generation, spec), written before anything starts
///     status.pb     wire::InstanceStatus: how it is doing (phase, exit code, restarts, address)
///     lock          locked by the shim for as long as it lives; holds "PID START" of the shim
///     container     "PID START" of the first process of the container
///     exit          how the last run ended, see shim.cpp
///     log/N         output from byte N on
///     bundle/       config.json; of a function also lane.json, the process that takes its calls
///     etc/          hosts and resolv.conf, mounted over the image's own
///     root/ upper/ work/   the root file system: an overlay over the image, or a copy of it
///     crun/         crun's own state
///     crun.log      what crun complained about
struct container_settings {
  /// The node's data directory.
  std::filesystem::path data;
  std::string crun = "crun";
  /// Output kept per instance: `log_segments` files of `log_segment_bytes` each.
  std::uint64_t log_segment_bytes = 1 << 20;
  std::uint32_t log_segments = 8;
  /// Network namespaces kept ready.
  std::uint32_t networks_ready = 2;
  /// Whether what is on the bridge reaches beyond this host, under its address.
  bool masquerade = true;
  /// Processes per container; Docker leaves this open, which lets a fork bomb take the host.
  std::uint32_t pids_max = 4096;
  /// Directories of the host below which instances may mount.
  std::vector<std::filesystem::path> mountable;
};

/// What the driver can do on this host, in words; for `doctor` and for the log at start.
struct container_abilities {
  std::string cgroups;
  bool limits = false;
  bool overlay = false;
  bool bridge = false;
  /// What does not work and why; empty when everything does.
  std::vector<std::string> missing;
};

class container_driver : public driver {
public:
  [[nodiscard]] virtual container_abilities abilities() const = 0;
  /// The networks of this node, for whoever else has instances on its bridge; null when there is no bridge. `sweep`
  /// makes namespaces ahead: whoever else has addresses claims them before.
  [[nodiscard]] virtual std::shared_ptr<host::networks> networks() const = 0;
};

/// Throws std::system_error when the data directory cannot be used.
std::shared_ptr<container_driver> make_container_driver(container_settings settings);

} // namespace novacron::workload
