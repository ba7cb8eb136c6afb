#pragma once

/// Where the instances of one driver are on this host: a directory for each, and a control group for its processes.

#include "actors/host/cgroup.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/instance_directory.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace novacron::workload {

/// A number for a node's instances, by their directory: it tells the control groups of nodes on one host apart.
std::uint32_t place_tag(const std::filesystem::path& directory);

/// Functions may be called from any thread.
class instance_places {
public:
  /// Instances have their directories below `top`, which must be there, and their groups below "/novacron/TAG".
  instance_places(std::filesystem::path top, std::uint32_t tag, host::cgroup_layout layout);
  /// Leaves no empty groups; those of instances that run on are not empty.
  ~instance_places();
  instance_places(const instance_places&) = delete;
  instance_places& operator=(const instance_places&) = delete;

  [[nodiscard]] instance_directory directory(const std::string& name) const { return instance_directory{top_ / name}; }
  [[nodiscard]] std::string group_path(const std::string& name) const { return all_groups() + "/" + name; }
  [[nodiscard]] host::cgroup group(const std::string& name) const { return {layout_, group_path(name)}; }
  /// The directories of its group in all hierarchies, whether they exist or not.
  [[nodiscard]] std::vector<std::filesystem::path> group_directories(const std::string& name) const {
    return layout_.groups(group_path(name));
  }

  /// Everything a former life left: see `driver::sweep`. Tells `known` of each that is found, before strangers in our
  /// groups are killed.
  [[nodiscard]] std::vector<leftover> sweep(const std::function<void(const leftover&)>& known) const;

  /// Kills what is left of an instance that no shim holds.
  void kill_unknown(const instance_directory& place) const;

  /// Keeps `status` beside the instance while it is there.
  void remember(const std::string& name, const wire::InstanceStatus& status) const;

  /// Removes every trace of an instance that does not run, then calls `forget`. Not of one that a shim holds.
  [[nodiscard]] outcome<> remove(const std::string& name, const std::function<void()>& forget) const;

private:
  [[nodiscard]] std::string all_groups() const;
  [[nodiscard]] static bool alive(const instance_directory& place);

  const std::filesystem::path top_;
  const std::uint32_t tag_;
  const host::cgroup_layout layout_;
};

} // namespace novacron::workload
