#pragma once

/// The entry of the program `novacron`: reads the command line and has it done.

#include "actors/shell/parse.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace novacron::shell {

/// What the composer of the program lends to the shell.
struct process_commands {
  /// Carries a command out in this process and returns its exit code; the key is its path in the table ("dev",
  /// "--role", "bench", "doctor", "join", "simulate", "image create", "ledger check"). Commands without a hook
  /// do not exist: neither in help nor in completion.
  std::map<std::string, std::function<int(const invocation&)>> run;
  /// "0.1.0 (abcdef0)".
  std::string version;
  /// Options of the build, one per line of `--version`.
  std::vector<std::string> build;
  /// Where the fabric of ./nodes.toml listens (a path or HOST:PORT), empty when there is none; may be null.
  std::function<std::string()> find_fabric;
  /// Offered each command of the shell before the table; its exit code when it took it. May be null.
  std::function<std::optional<int>(const std::vector<std::string>& words)> first;
  /// The words that begin what `first` takes, each with what it does.
  std::map<std::string, std::string> first_words;
  /// The fabric's wall clock, milliseconds, where it is not this machine's. May be null.
  std::function<std::int64_t()> wall_ms;
};

/// Runs one command line and returns the exit code. `--help` and `--version` touch neither network nor hooks.
int shell_main(int argc, char** argv, const process_commands& hooks);

} // namespace novacron::shell
