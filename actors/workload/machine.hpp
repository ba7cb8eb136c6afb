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
    /// A device that leads nowhere.
    unplugged,
  };
  kind how = kind::none;
  std::string hardware_address;
  /// Ports of the host that lead into a relayed network; on a bridge others forward them.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ports;
};

enum class machine_beginning {
  /// As a computer that is switched on.
  boot,
  /// The same, for others to be cloned from it. Its memory is what it is given.
  template_boot,
  /// As such a machine was at the moment at which it was saved. It is given that one's memory and state.
  clone,
  /// It waits for a guest that runs elsewhere. Its memory is its own.
  arrival,
  /// As one machine was when all of it was written down. It is given that; its memory is its own.
  restored,
};

/// Files are named relative to the machine's directory, in which its process runs.
struct machine_plan {
  std::string name;
  machine_beginning beginning = machine_beginning::boot;
  /// Others have the memory that a clone is given: what it writes stays its own. Else it is given one of its own.
  bool shares_memory = false;
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
/// A file that is read from its beginning.
constexpr auto machine_state_descriptor = 5;
constexpr auto machine_memory_descriptor = 6;

/// What the machine's process is started with.
struct machine_command {
  std::vector<std::string> words;
  /// What it reads in its directory: (name, content).
  std::vector<std::pair<std::string, std::string>> files;
  /// Names in its directory to which it writes what nobody needs.
  std::vector<std::string> sinks;
  /// A socket of the machine's directory, and the bytes that ask the machine to end when they are written to it: for who
  /// knows nothing else of the machine.
  std::string end_socket;
  std::string end_words;
};

/// Where a machine writes how it is.
constexpr auto machine_state_socket = "state.sock";

/// A machine that runs. Answers come on the loop's thread, at the latest after five seconds.
class machine_control {
public:
  virtual ~machine_control() = default;
  virtual void pause(bool paused, then<> done) = 0;
  /// As somebody who presses the power button.
  virtual void press_power(then<> done) = 0;
  /// How much of its memory the guest may use.
  virtual void give_memory(std::uint64_t bytes, then<> done) = 0;
  /// Begins to write how the machine is to whoever listens at the socket `machine_state_socket` of its directory, with
  /// its memory or without. It goes on meanwhile, and stands still at the end.
  virtual void begin_writing(bool with_memory, then<> done) = 0;
  /// Whether it has written all of it; a trouble when it cannot.
  virtual void look_at_writing(then<bool> done) = 0;
  virtual void end_writing(then<> done) = 0;
};

/// What runs machines.
class machine_monitor {
public:
  virtual ~machine_monitor() = default;
  /// Why it cannot be used here, in words; empty if it can. Looks for its programs without running them.
  [[nodiscard]] virtual std::string lack() const = 0;
  /// Which one it is: only the very monitor that ran a template can clone it. Empty when it cannot clone any.
  /// May block for as long as its program takes to say so.
  [[nodiscard]] virtual std::string edition() const = 0;
  /// Pure: depends on the plan alone.
  [[nodiscard]] virtual machine_command command(const machine_plan& plan) const = 0;
  /// Connects to a machine whose process was started in `directory`, in this life or in an earlier one.
  virtual void open(host::loop& loop, const std::filesystem::path& directory,
                    then<std::shared_ptr<machine_control>> done) const = 0;
};

} // namespace novacron::workload
