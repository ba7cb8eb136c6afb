#pragma once

/// Every node of a configuration as a process on this machine: for development, the demo and specs.

#include "actors/host/process.hpp"
#include "actors/node/configuration.hpp"

#include <map>
#include <string>
#include <vector>

namespace novacron::node {

class local_fabric {
public:
  struct options {
    /// Our own executable.
    std::string program;
    configuration settings;
    /// The file the settings came from, handed to the nodes; empty when there is none.
    std::string config_file;
    /// Settings that one node gets beside the file's, as flags without dashes: {"edge-2", {{"join", "..."}}}.
    std::map<std::string, std::map<std::string, std::string>> extra;
  };

  /// Makes the authority and everybody's certificates.
  explicit local_fabric(options how);
  /// Kills what still runs.
  ~local_fabric();
  local_fabric(const local_fabric&) = delete;
  local_fabric& operator=(const local_fabric&) = delete;

  void start_all();
  void start(const std::string& node);
  /// Starts those that do not run, so that nothing which they left behind is forgotten.
  void start_missing();

  /// Waits until every started node said that it is ready; false when one ended or `limit` passed.
  bool await_ready(std::chrono::nanoseconds limit);

  /// Sends a signal to the process of a node.
  void signal(const std::string& node, int number);

  /// Nodes whose process has ended since the last call, with how.
  std::vector<std::pair<std::string, host::ending>> take_ended();

  /// Asks all to end, controllers last, and waits; kills what takes longer than `grace`.
  void stop(std::chrono::nanoseconds grace);

  /// The unix socket of the first controller's API.
  std::filesystem::path socket() const;
  const configuration& settings() const { return how_.settings; }
  /// Where a node writes its log.
  std::filesystem::path log_of(const std::string& node) const;

private:
  struct process {
    host::child child;
    int notices = -1;
    bool ready = false;
  };

  const node_settings& find(const std::string& node) const;
  void look_for_notice(process& x);
  void forget(process& x);

  options how_;
  std::map<std::string, process> running_;
};

/// Whether somebody listens at this unix socket.
bool listens(const std::filesystem::path& socket);

/// Where commands look for a fabric that they are not told of.
std::filesystem::path announced_socket();

/// Takes down every workload of a fabric through its API, and waits until no node has an instance any more. False when
/// some may be left: on a node that does not answer, too.
bool clear_workloads(const std::filesystem::path& socket, std::chrono::seconds patience);

} // namespace novacron::node
