#pragma once

/// How a spec says that this machine lacks what it needs.

#include <cstdio>
#include <string>

namespace novacron::spec {

/// Prints the one line from which the closing summary knows that a scenario did not run, and why.
/// Say it once per scenario, then return from it.
inline void skip(const std::string& what, const std::string& why) {
  std::printf("skipped: %s: %s\n", what.c_str(), why.c_str());
  std::fflush(stdout);
}

} // namespace novacron::spec
