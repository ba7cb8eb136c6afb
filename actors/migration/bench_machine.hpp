#pragma once

/// A QEMU with the guest of migration benches in it, and what its guest says.

#include "actors/host/process.hpp"
#include "actors/migration/monitor.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace novacron::migration {

using bench_time = std::chrono::steady_clock::time_point;

/// What the guest counted, and when that was heard.
struct guest_count {
  std::uint64_t number = 0;
  std::uint64_t dirtied = 0;
  bench_time heard;
};

/// "CNT <n> <pages dirtied>"; nothing when it is no such line.
std::optional<guest_count> read_count(std::string_view line, bench_time heard);

/// "SUM <hex> bad=<n> of <m>...".
struct guest_sum {
  std::string checksum;
  std::uint64_t bad = 0;
  std::uint64_t looked_at = 0;
};
std::optional<guest_sum> read_sum(std::string_view line);

struct machine_order {
  std::string program = "qemu-system-x86_64";
  /// Where its sockets and its complaints are; `name` tells machines in it apart.
  std::filesystem::path directory;
  std::string name;
  /// Holds vmlinuz and initramfs.
  std::filesystem::path guest;
  std::string kernel_words;
  std::uint64_t memory_kib = 524280;
  /// Its memory can be mapped by others.
  bool shared = false;
  /// Loaded before it; empty for none.
  std::filesystem::path watch;
  /// What comes before the command, and what the guest comes in by; empty to boot it.
  std::vector<std::string> on;
  std::string incoming;
};

/// Killed when this goes. Functions throw std::runtime_error or migration_error.
class bench_machine {
public:
  explicit bench_machine(machine_order order);
  ~bench_machine();
  bench_machine(const bench_machine&) = delete;
  bench_machine& operator=(const bench_machine&) = delete;

  pid_t pid() const { return process_.pid; }
  std::filesystem::path monitor_socket(bool engine) const;
  /// Of the bench; the engine has a socket of its own.
  monitor& words() { return *monitor_; }
  /// Seconds of the processor that its process has used.
  double cpu_seconds() const;
  std::string status();
  /// Its process has ended, by itself or killed.
  bool is_dead() const;
  /// Returns when the status is that; throws when it is not within `patience`.
  void await_status(std::string_view wanted, std::chrono::seconds patience);

  /// All counts since the begin.
  std::vector<guest_count> counts() const;
  /// Waits until the guest has counted `more` times from now.
  void await_counts(std::size_t more, std::chrono::seconds patience);
  /// The guest may have been moved in the middle of a line: `half` is what the source heard last.
  void complete_line(const std::string& half);
  std::string half_line() const;
  guest_sum ask_sum(std::chrono::seconds patience);

private:
  void listen(std::stop_token stop);
  void hear(const std::string& line);
  std::string complaints() const;
  template <class Found>
  void await(Found found, std::chrono::seconds patience, const char* what) const;

  machine_order order_;
  host::child process_;
  std::unique_ptr<monitor> monitor_;
  int console_ = -1;
  mutable std::mutex mutex_;
  std::string rest_;
  /// The first line of all, if it was no count.
  struct heard_line {
    std::string text;
    bench_time heard;
  };
  std::optional<heard_line> first_;
  bool begun_ = false;
  std::vector<guest_count> counts_;
  std::optional<guest_sum> sum_;
  std::jthread listener_;
};

} // namespace novacron::migration
