#pragma once

/// Writes the OCI runtime configuration of a container: what crun shall isolate, limit, mount and run.

#include "actors/workload/driver.hpp"
#include "actors/workload/image_user.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace novacron::workload {

struct bundle_options {
  std::string root;
  std::string hostname;
  std::string cgroup_path;
  process_user user;
  std::uint32_t pids_max = 4096;
  /// Whether the container shares the host's network; decides nothing else, the shim enters the namespace.
  bool host_network = false;
  /// Where `hosts` and, unless it has no network, `resolv.conf` for a network of its own are.
  std::string network_files;
  int stop_signal = 15;
  /// The usher of a function on this host; empty for what is none.
  std::string usher;
  /// Open files per process; must not be above what this host allows.
  std::uint64_t files_max = 65536;
};

/// What the first process is started with: the image's wishes, the workload's, and who the instance is (NOVACRON_*).
process_arguments arguments_for(const wire::Instance& what, const image_config& image, const std::string& node);

/// What the first process of a function's container is started with, in place of its handler.
process_arguments ushered(process_arguments handler, const wire::FunctionRules& rules);

/// The process of a lane, from the configuration of a function's container: what its first process is, user, rights and
/// limits included, but taking calls. Empty when it is no function's.
std::string lane_process(const std::string& config);

/// The signal that ends the container, as its configuration notes it.
int stop_signal_in(const std::string& config);

/// Who the container's first process is, "UID:GID", as its configuration has it; root's if it says nothing.
std::string owner_in(const std::string& config);

/// The environment of the container's first process, as its configuration has it.
std::map<std::string, std::string> environment_in(const std::string& config);

/// Why `spec` cannot be run as a container; empty if it can. `mountable` are the directories that may be mounted.
std::string refuse_container(const wire::WorkloadSpec& spec, const process_arguments& process,
                             const std::vector<std::filesystem::path>& mountable);

/// The config.json. Depends on nothing but its arguments.
std::string bundle_config(const wire::WorkloadSpec& spec, const process_arguments& process,
                          const bundle_options& options);

/// The hosts(5) of a container; `address` is empty if it has no network.
std::string hosts_file(const std::string& hostname, const std::string& address);

/// The same configuration with other limits; 0 leaves a value as it is.
std::string resize_config(const std::string& config, const wire::Resources& to);

} // namespace novacron::workload
