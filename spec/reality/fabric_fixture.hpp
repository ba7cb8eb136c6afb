#pragma once

/// A whole fabric of real processes with ports and directories of its own, and a view of the machine below it.

#include "actors/host/cgroup.hpp"
#include "actors/node/local_fabric.hpp"
#include "actors/shell/client.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace novacron::spec {

/// A TCP port of loopback that nobody uses at the moment.
std::uint16_t free_port();

bool eventually(const std::function<bool()>& holds, std::chrono::nanoseconds limit);
double seconds_since(std::chrono::steady_clock::time_point begin);

/// Of a process; 0 when it is gone.
double resident_mb(pid_t pid);

/// Sanitizers keep what was freed, and unoptimized code is large: then sizes mean nothing.
#if defined(__OPTIMIZE__) && !defined(NOVACRON_SANITIZED)
constexpr auto is_fast_build = true;
#else
constexpr auto is_fast_build = false;
#endif

/// "name = \"edge-1\"..." of one node; the first node of a fabric is its controller.
struct wanted_node {
  std::string name;
  std::string role;
};

class live_fabric {
public:
  /// Starts nothing yet. Throws when the machine lacks what a fabric needs.
  /// `more` is put into its nodes.toml, above the nodes.
  explicit live_fabric(const std::vector<wanted_node>& nodes, const std::string& more = {});
  /// Stops what runs, workloads too, and removes the directories.
  ~live_fabric();
  live_fabric(const live_fabric&) = delete;
  live_fabric& operator=(const live_fabric&) = delete;

  /// Empty when containers can run here.
  static std::string lacking();

  bool start_all();
  node::local_fabric& processes() { return *fabric_; }
  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path data_of(const std::string& node) const;
  const std::vector<std::string>& nodes() const { return names_; }
  std::uint16_t link_port() const { return link_port_; }
  std::uint16_t api_port() const { return api_port_; }

  /// A connection to the API of a node, the controller's unless one is named.
  shell::client ask(const std::string& node = {}) const;
  nlohmann::json get(const std::string& path) const;
  /// Packs a busybox image, and imports it as "spec:1" over the API.
  void bring_image();
  /// PUTs a WorkloadSpec of `command` in that image; `more` is merged into it.
  void run(const std::string& name, const std::vector<std::string>& command, const nlohmann::json& more = {});

  /// Which nodes really have a process of an instance, by the control groups of the machine.
  std::map<std::string, std::vector<std::string>> running() const;
  /// The first process of an instance on a node; 0 if it has none.
  pid_t first_process(const std::string& node, const std::string& instance) const;
  /// What crun says of an instance: "running", ...
  std::string crun_state(const std::string& node, const std::string& instance) const;
  /// The process of a node, or the ledger's child of it; 0 if there is none.
  pid_t process_of(const std::string& node, bool ledger = false) const;

  /// Everything of this fabric that is on the machine: processes, mounts, control groups, network devices.
  /// Processes of nodes themselves are left out unless `nodes_too`.
  std::vector<std::string> traces(bool nodes_too) const;

  /// Whether the log of a node has this text.
  bool logged(const std::string& node, const std::string& text) const;
  /// The value of a metric on a node: `line` is "name" or "name{labels}". 0 when it is not there.
  double metric(const std::string& node, const std::string& line) const;

private:
  std::uint32_t tag_of(const std::string& node) const;

  std::filesystem::path root_;
  std::vector<std::string> names_;
  std::uint16_t link_port_ = 0;
  std::uint16_t api_port_ = 0;
  host::cgroup_layout groups_ = host::find_cgroups();
  std::unique_ptr<node::local_fabric> fabric_;
};

} // namespace novacron::spec
