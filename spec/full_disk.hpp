#pragma once

/// A process whose disk takes nothing more.

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <functional>

namespace novacron::spec {

/// What `in_child` returns when an exception came out, and when the process ended some other way.
constexpr auto threw = 98;
constexpr auto died = 99;

/// Runs `what` in a process of its own and returns what it returned, 0 to 97.
inline int in_child(const std::function<int()>& what) {
  const auto child = ::fork();
  if (child == 0) {
    try {
      ::_exit(what());
    } catch (const std::exception&) {
      ::_exit(threw);
    }
  }
  auto status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : died;
}

/// The same where files and directories can be made, but no byte written to a file.
inline int on_full_disk(const std::function<int()>& what) {
  return in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const auto none = rlimit{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &none);
    return what();
  });
}

} // namespace novacron::spec
