#pragma once

/// The checkpoints of a node: makes, lists, finds and deletes them.

#include "actors/workload/checkpoint_files.hpp"
#include "actors/workload/machine.hpp"
#include "actors/workload/outcome.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace novacron::workload {

struct checkpoint_settings {
  /// Where they are kept, each in a directory of its name; what is being made has ".part" behind it.
  std::filesystem::path directory;
  std::string node;
  /// What all of them may take together; 0 for none at all.
  std::uint64_t bytes_max = std::uint64_t{10} << 30;
  /// How long a machine may take to write itself down.
  duration patience = std::chrono::minutes{5};
};

/// What is written down.
struct checkpoint_subject {
  wire::Instance what;
  /// The directories of its machine and of its output.
  std::filesystem::path place;
  std::filesystem::path log;
  std::shared_ptr<machine_control> control;
  std::string shape;
  std::uint64_t memory_bytes = 0;
  checkpoint_host host;
  /// Of the checkpoint; empty has one made up.
  std::string name;
  /// It stays paused then.
  bool pause = false;
};

/// Functions may be called from any thread.
class machine_checkpoints {
public:
  /// Removes what is not whole. Throws std::system_error.
  explicit machine_checkpoints(checkpoint_settings settings);

  /// Gives up what is being made.
  void end() { ending_ = true; }

  /// Blocks for as long as that takes. With a trouble there is nothing of it, and the machine goes on.
  outcome<wire::Checkpoint> make(const checkpoint_subject& of);

  /// Has the machine of `what` in `place` begin from it when it is started next, once every byte of it was looked at.
  /// Blocks for that long.
  outcome<> plant(const std::string& name, const wire::Instance& what, const std::string& shape,
                  const checkpoint_host& host, const std::filesystem::path& place);

  /// By name, each with what keeps it from being used on such a host.
  [[nodiscard]] std::vector<wire::Checkpoint> list(const checkpoint_host& host) const;
  outcome<> remove(const std::string& name);

private:
  void sweep() const;
  [[nodiscard]] std::vector<checkpoint_facts> all() const;
  [[nodiscard]] checkpoint_room room() const;
  outcome<std::string> begin(const checkpoint_subject& of);
  wire::Checkpoint write(const checkpoint_subject& of, const std::string& name, const std::filesystem::path& part);

  const checkpoint_settings settings_;
  mutable std::mutex guard_;
  /// Names in the making, and what these may take.
  std::set<std::string> begun_;
  std::uint64_t begun_bytes_ = 0;
  std::atomic<std::uint64_t> discarded_ = 0;
  std::atomic<bool> ending_ = false;
};

/// Those of a node with that name and data directory. Throws std::system_error.
std::shared_ptr<machine_checkpoints> make_machine_checkpoints(const std::filesystem::path& data,
                                                              const std::string& node, std::uint64_t bytes_max);

} // namespace novacron::workload
