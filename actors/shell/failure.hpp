#pragma once

/// How a command can fail, and the exit code that says so.

#include <stdexcept>
#include <string>

namespace novacron::shell {

enum class exit_code : int {
  ok = 0,
  failed = 1,
  usage = 2,
  not_found = 3,
  conflict = 4,
  timeout = 5,
  unreachable = 6,
  denied = 7,
  interrupted = 130,
  /// As if SIGPIPE had ended us.
  reader_gone = 141,
};

/// Ends a command; the text says what happened, to whom, and what to do next.
struct failure : std::runtime_error {
  failure(exit_code code, const std::string& text) : std::runtime_error{text}, code{code} {}
  exit_code code;
};

/// Ends what a command waits for: the person pressed Ctrl-C.
struct interrupted {};

/// Ends a command whose output nobody reads any more; no failure, and nothing to be said about.
struct reader_gone {};

} // namespace novacron::shell
