#pragma once

/// What is kept on disk of one instance, in `<data>/instances/NAME/` (drawn in container_driver.hpp).

#include "actors/workload/driver.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace novacron::workload {

/// A process, named so that no other can be mistaken for it.
struct process_name {
  pid_t pid = -1;
  std::uint64_t start = 0;
};

/// "PID START".
std::optional<process_name> parse_process(const std::string& text);
/// "CODE OUT_OF_MEMORY CPU_USEC LEASE_OVER" and a line with words, as the shim writes it. The first shims did not write
/// LEASE_OVER.
std::optional<ended> parse_ended(const std::string& text);

/// Whether `name` may be an instance's: letters, digits, '.', '-', '_', not first a dot; at most 128 of them.
bool is_instance_name(const std::string& name);

class instance_directory {
public:
  explicit instance_directory(std::filesystem::path where) : where_{std::move(where)} {}

  [[nodiscard]] const std::filesystem::path& path() const { return where_; }
  [[nodiscard]] std::filesystem::path log() const { return where_ / "log"; }
  [[nodiscard]] std::filesystem::path root() const { return where_ / "root"; }
  [[nodiscard]] std::filesystem::path config() const { return where_ / "bundle" / "config.json"; }
  [[nodiscard]] std::filesystem::path lane() const { return where_ / "bundle" / "lane.json"; }
  [[nodiscard]] std::filesystem::path crun() const { return where_ / "crun"; }

  /// What is mounted over the container's own /etc/hosts and /etc/resolv.conf.
  [[nodiscard]] std::filesystem::path network_files() const { return where_ / "etc"; }

  /// Makes the directories. Throws std::system_error.
  void lay_out() const;
  /// Copies the image in `from` to `root`, unless there is something in it already. Blocks.
  [[nodiscard]] outcome<> copy_image(const std::filesystem::path& from) const;

  /// What shall run; nothing when it is not written down, or cannot be read.
  [[nodiscard]] std::optional<wire::Instance> instance() const;
  /// Whether that is written down, be it readable or not. False for half a directory.
  [[nodiscard]] bool has_instance() const;
  [[nodiscard]] wire::InstanceStatus status() const;
  void write(const wire::Instance& x) const;
  void write(const wire::InstanceStatus& x) const;

  [[nodiscard]] std::optional<process_name> shim() const;
  [[nodiscard]] std::optional<process_name> container() const;
  [[nodiscard]] std::optional<ended> how_ended() const;
  /// Forgets the last run, before a new one.
  void forget_run() const;

  /// The lock's descriptor, held until it is closed everywhere; nothing while a shim holds it.
  [[nodiscard]] std::optional<int> lock() const;

  void remove() const;

private:
  std::filesystem::path where_;
};

/// A descriptor of the process (pidfd), nothing if it is gone. Never one of another process with the same pid.
std::optional<int> open_process(const process_name& x);

/// Sends it signal `number`, unless it is gone.
void signal_process(const process_name& x, int number);

} // namespace novacron::workload
