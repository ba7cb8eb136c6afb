#pragma once

/// One process per data directory.

#include <filesystem>

namespace novacron::node {

/// Holds the lock of `data_dir` as long as it lives; the kernel gives it back after a crash. Throws std::runtime_error
/// naming the process that has it.
class node_lock {
public:
  explicit node_lock(const std::filesystem::path& data_dir);
  ~node_lock();
  node_lock(const node_lock&) = delete;
  node_lock& operator=(const node_lock&) = delete;

private:
  int fd_ = -1;
};

} // namespace novacron::node
