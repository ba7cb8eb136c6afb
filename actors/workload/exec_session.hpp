#pragma once

/// A process that crun starts inside a container, with pipes or a terminal.

#include "actors/host/loop.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/driver.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace novacron::workload {

struct exec_launch {
  /// Everything up to the options of `crun exec`.
  std::vector<std::string> crun;
  std::string container;
  exec_order order;
  /// Who runs the command of `order`: "UID:GID"; empty for crun's own choice, root.
  std::string user = {};
  /// A file with all of the process as OCI describes it, in place of the command and environment of `order`.
  std::filesystem::path process = {};
  /// For the files of this session; must exist. They are removed with it.
  std::filesystem::path scratch;
  /// A name for those files.
  std::string session;
};

/// Throws std::system_error. Output beyond 256 KiB that nobody takes makes the process wait.
std::shared_ptr<exec_process> start_exec(host::loop& loop, const exec_launch& what);

} // namespace novacron::workload
