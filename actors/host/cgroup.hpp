#pragma once

/// Control groups of either version: which this host has, and the groups of one path in all of them.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace novacron::host {

enum class cgroup_mode {
  /// No controllers at all.
  none,
  /// A hierarchy per controller.
  legacy,
  /// As legacy, with a unified hierarchy beside it that holds no or few controllers.
  hybrid,
  /// One hierarchy.
  unified,
};

struct cgroup_layout {
  cgroup_mode mode = cgroup_mode::none;
  /// The mount points of all hierarchies of version 1; for `unified` its single one.
  std::vector<std::filesystem::path> hierarchies;
  /// The mount of version 2 on a hybrid host.
  std::filesystem::path beside;

  /// The directories of the group called `path` ("/novacron/x") in all hierarchies, whether they exist or not.
  [[nodiscard]] std::vector<std::filesystem::path> groups(const std::string& path) const;
  /// In words, for people.
  [[nodiscard]] std::string text() const;
  /// Whether "cpu", "memory", "pids", "freezer" can be limited here.
  [[nodiscard]] bool controls(const std::string& controller) const;
};

/// Reads the mounts of this host. `mountinfo` is the content of /proc/self/mountinfo.
cgroup_layout cgroup_layout_of(const std::string& mountinfo);
cgroup_layout find_cgroups();

struct cgroup_usage {
  std::uint64_t cpu_usec = 0;
  std::uint64_t memory_bytes = 0;
};

/// One group, in however many hierarchies it lives. What cannot be done throws std::system_error.
class cgroup {
public:
  cgroup(cgroup_layout layout, std::string path);

  [[nodiscard]] bool exists() const;
  /// Makes it, and what is above it, in every hierarchy where that is allowed.
  void create() const;
  [[nodiscard]] cgroup_usage usage() const;
  /// The processes in the group and in those below it.
  [[nodiscard]] std::vector<pid_t> members() const;
  void freeze(bool frozen) const;
  /// Whether all of its processes stand still; they do not at once.
  [[nodiscard]] bool frozen() const;
  /// Kills every process in it and below; those that are frozen do nothing before they end.
  void kill() const;
  /// Lets the processes run again; nothing happens when the group has gone.
  void thaw() const;
  /// 0 leaves the value as it is.
  void limit(std::uint64_t cpu_milli, std::uint64_t memory_bytes) const;
  /// Kills every process in it and below, then removes the group. False if something would not go within 2 s.
  [[nodiscard]] bool destroy() const;
  /// The names of the groups directly below.
  [[nodiscard]] std::vector<std::string> children() const;

private:
  [[nodiscard]] std::filesystem::path find(const char* file) const;

  cgroup_layout layout_;
  std::string path_;
};

/// The period against which a cpu quota counts, in microseconds.
constexpr std::uint64_t cpu_period_usec = 100'000;

} // namespace novacron::host
