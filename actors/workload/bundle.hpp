#pragma once

/// Writes the OCI runtime configuration of a container: what crun shall isolate, limit, mount and run.

#include "actors/workload/driver.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace novacron::workload {

struct user_ids {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// "1000", "1000:100", "name" or "name:group", looked up in the image's own /etc/passwd and /etc/group.
/// Nothing if there is no such user.
std::optional<user_ids> find_user(const std::string& text, const std::string& passwd, const std::string& group);

struct bundle_options {
  std::string root;
  std::string hostname;
  std::string cgroup_path;
  user_ids user;
  std::uint32_t pids_max = 4096;
  /// Whether the container shares the host's network; decides nothing else, the shim enters the namespace.
  bool host_network = false;
  std::string node;
};

/// Why `spec` cannot be run as a container; empty if it can. `mountable` are the directories that may be mounted.
std::string refuse_container(const wire::WorkloadSpec& spec, const image_root& image,
                             const std::vector<std::filesystem::path>& mountable);

/// The config.json. Depends on nothing but its arguments.
std::string bundle_config(const wire::Instance& what, const image_root& image, const bundle_options& options);

/// The same configuration with other limits; 0 leaves a value as it is.
std::string resize_config(const std::string& config, const wire::Resources& to);

} // namespace novacron::workload
