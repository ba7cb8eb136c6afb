#pragma once

/// Starts shims (see shim/shim.cpp) from the copy that this program carries.

#include "actors/host/process.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace novacron::workload {

struct shim_order {
  std::string directory;
  std::string id;
  std::string crun;
  /// The lower directory of the overlay; empty when the root is a copy.
  std::string lower;
  /// A mount that crun must not see.
  std::string hide;
  /// "host", "none", or "given" with `network`.
  std::string mode;
  std::string address;
  int lock = -1;
  int network = -1;
  std::uint64_t log_segment_bytes = 0;
  std::uint32_t log_segments = 0;
  std::vector<std::string> cgroups;
  /// Milliseconds of the node's silence after which the shim ends the container by itself; 0 for never.
  std::uint64_t patience_ms = 0;
  std::string lease;
  std::uint64_t grace_ms = 0;
  int stop_signal = 15;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ports;
  /// A file in `directory` with the words of a machine's process, to be run in place of a container; empty for none.
  std::string machine;
  /// The descriptor of that machine's network device.
  int link = -1;
  /// Those of the state and the memory that it begins with; -1 for one that boots.
  int state = -1;
  int memory = -1;
  /// It gets a copy of that memory; else it shares it.
  bool owns_memory = false;
  /// That machine's process makes connections on the host's network.
  bool relays = false;
};

/// The program in memory, where it needs no file that could be missing, old, or on a mount without exec.
class shim_launch {
public:
  /// Throws std::system_error.
  shim_launch();
  ~shim_launch();
  shim_launch(const shim_launch&) = delete;
  shim_launch& operator=(const shim_launch&) = delete;

  [[nodiscard]] host::child start(const shim_order& order) const;
  /// The words to put before a crun command so that it does not see the mount `hide`; none when that is empty.
  [[nodiscard]] std::vector<std::string> inside(const std::string& hide) const;

private:
  int fd_ = -1;
};

} // namespace novacron::workload
