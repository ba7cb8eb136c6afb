#pragma once

/// What a command has at hand: where to write, how, and the fabric.

#include "actors/shell/client.hpp"
#include "actors/shell/output.hpp"
#include "actors/shell/parse.hpp"

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace novacron::shell {

struct session {
  std::ostream& out;
  std::ostream& err;
  output_options output;
  /// Whether a person watches, so that progress and refreshing views make sense.
  bool terminal = false;
  /// The fabric, found and connected when first asked for. Throws `failure`.
  std::function<client&()> fabric;
  /// The fabric's wall clock, milliseconds: what ages are counted from.
  std::function<std::int64_t()> now;
  /// Milliseconds that a person waits, since any fixed point; no clock that is set moves it.
  std::function<std::int64_t()> waited;
  /// Waits so many milliseconds; throws `interrupted` on Ctrl-C.
  std::function<void(int)> pause;
  /// A whole file, or standard input for "-". Throws `failure`.
  std::function<std::string(const std::string&)> read_file;
  /// Runs another command line, for `watch`; returns its exit code.
  std::function<int(const std::vector<std::string>&, session&)> again;
};

/// Carries out a command of the fabric. Throws `failure` and `interrupted`.
int perform(const invocation& what, session& with);

/// The paths of all commands that perform() knows.
std::vector<std::string> performed();

} // namespace novacron::shell
