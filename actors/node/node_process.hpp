#pragma once

/// One node: the rooms of its role, the door before them, and its life from start to shutdown.

#include "actors/node/configuration.hpp"

#include <string>

namespace novacron::node {

struct process_options {
  configuration settings;
  /// Which of `settings.nodes` this process is.
  std::size_t self = 0;
  /// Our own executable, for children.
  std::string program;
};

/// Runs until SIGTERM, SIGINT or an order to leave, and returns the exit code. Workloads run on: they are adopted at
/// the next start.
int run_node(const process_options& options);

} // namespace novacron::node
