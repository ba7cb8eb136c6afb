#pragma once

/// A virtual machine as a driver wants it, and what runs such machines: a door behind which any monitor fits.

#include "actors/host/loop.hpp"
#include "actors/workload/outcome.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace novacron::workload {

struct machine_disk {
  enum class layout { raw, layered };
  /// Relative to the machine's directory, or absolute.
  std::string file;
  /// By which the guest knows it.
  std::string serial;
  layout format = layout::raw;
  bool read_only = false;
};

/// A line of bytes between the guest and a file of the machine's directory.
struct machine_port {
  enum class end {
    /// A unix socket at which one peer at a time is served.
    socket,
    /// A file that only grows.
    file,
    /// The machine's log.
    log,
  };
  /// By which the guest knows it.
  std::string name;
  end kind = end::socket;
  std::string file;
};

struct machine_network {
  enum class kind {
    none,
    /// A device of the host, whose descriptor the machine's process is given.
    bridged,
    /// Without any right on the host: connections of the guest are made by the machine's process.
    relayed,
  };
  kind how = kind::none;
  std::string hardware_address;
  /// Ports of the host that lead into a relayed network; on a bridge others forward them.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ports;
};

/// Files are named relative to the machine's directory, in which its process runs.
struct machine_plan {
  std::string name;
  /// Only what a sandbox needs, and fast to start; else a whole computer, with room for devices that come later.
  bool small = false;
  /// By the processor itself; else every instruction is translated.
  bool accelerated = false;
  std::uint32_t cpus = 1;
  std::uint64_t memory_bytes = 128u << 20;
  /// Empty: the first disk boots by itself.
  std::string kernel;
  std::string initial_files;
  std::vector<std::string> kernel_words;
  std::vector<machine_disk> disks;
  std::vector<machine_port> ports;
  machine_network network;
  /// The guest's console goes to the log.
  bool console = false;
};

/// The descriptors with which the machine's process is started.
constexpr auto machine_log_descriptor = 3;
constexpr auto machine_link_descriptor = 4;

/// What the machine's process is started with.
struct machine_command {
  std::vector<std::string> words;
  /// A socket of the machine's directory, and the bytes that ask the machine to end when they are written to it: for who
  /// knows nothing else of the machine.
  std::string end_socket;
  std::string end_words;
};

/// A machine that runs. Answers come on the loop's thread, at the latest after five seconds.
class machine_control {
public:
  virtual ~machine_control() = default;
  virtual void pause(bool paused, then<> done) = 0;
  /// As somebody who presses the power button.
  virtual void press_power(then<> done) = 0;
  /// How much of its memory the guest may use.
  virtual void give_memory(std::uint64_t bytes, then<> done) = 0;
};

/// What runs machines.
class machine_monitor {
public:
  virtual ~machine_monitor() = default;
  /// Why it cannot be used here, in words; empty if it can. Looks for its programs without running them.
  [[nodiscard]] virtual std::string lack() const = 0;
  /// Pure: depends on the plan alone.
  [[nodiscard]] virtual machine_command command(const machine_plan& plan) const = 0;
  /// Connects to a machine whose process was started in `directory`, in this life or in an earlier one.
  virtual void open(host::loop& loop, const std::filesystem::path& directory,
                    then<std::shared_ptr<machine_control>> done) const = 0;
};

} // namespace novacron::workload
