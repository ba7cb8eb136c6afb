#pragma once

/// The bare log library with nothing around it: what the ledger's speed is compared with.

#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace novacron::ledger {

/// One voter in this process, on a thread of its own.
class bare_raft {
public:
  explicit bare_raft(const std::filesystem::path& directory);
  ~bare_raft();
  bare_raft(const bare_raft&) = delete;
  bare_raft& operator=(const bare_raft&) = delete;

  /// Commits `count` entries of `bytes` with `outstanding` on their way at a time. Returns how long each took, in
  /// seconds, and sets how long all took.
  std::vector<double> commit(std::size_t count, std::size_t outstanding, std::size_t bytes, double& total);

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::ledger
