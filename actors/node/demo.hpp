#pragma once

/// `novacron demo`: a fabric of real processes that runs real work, loses a node, is cut in two, and heals.

#include <string>

namespace novacron::node {

struct demo_options {
  std::string program;
  /// Empty takes ./nodes.toml.
  std::string config_file;
  /// Ends in the shell instead of by itself.
  bool interactive = false;
};

/// Exit code 0 when everything it shows was seen to happen.
int demo(const demo_options& options);

} // namespace novacron::node
