#pragma once

/// Child processes, started without blocking and without leaking descriptors into them.

#include "actors/host/loop.hpp"

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace novacron::host {

struct command {
  std::vector<std::string> argv;
  /// "NAME=value"; empty keeps the parent's environment.
  std::vector<std::string> environment;
  /// Descriptors for stdin, stdout, stderr; -1 is /dev/null. All others but `inherit` are closed in the child.
  int in = -1;
  int out = -1;
  int err = -1;
  /// Further descriptors for the child, which finds them as 3, 4, ...; at most 8.
  std::vector<int> inherit;
  /// A session of its own, so that a terminal's Ctrl-C for us does not reach it.
  bool detached = true;
  /// SIGKILL for the child when the thread that started it ends (for helpers that must not outlive us).
  bool dies_with_us = false;
};

/// How a process ended: an exit code, or the signal that killed it (then code is 128 + signal, as in a shell).
struct ending {
  int code = 0;
  int signal = 0;
};

struct child {
  pid_t pid = -1;
  /// Becomes readable when the process ends. Owned by whoever holds this.
  int pidfd = -1;
};

/// The most descriptors that `command::inherit` may hold.
constexpr std::size_t inherit_max = 8;

/// Starts `what`. Throws std::system_error when it cannot be started (the executable does not exist, ...).
child start(const command& what);

/// Calls `done` on the loop's thread once the child has ended; reaps it and closes its pidfd.
void when_ended(loop& loop, child process, std::function<void(ending)> done);

/// Runs `what` to its end, at most `limit`; kills it after that. Blocks: only for start-up, benches and specs.
struct finished {
  ending how;
  std::string out;
  std::string err;
  bool timed_out = false;
};
finished run(command what, std::chrono::nanoseconds limit = std::chrono::seconds{30}, const std::string& input = {});

/// When the process `pid` was started, in clock ticks since boot: (pid, start) names a process for ever.
/// Nothing if there is no such process.
std::optional<std::uint64_t> start_ticks(pid_t pid);

} // namespace novacron::host
