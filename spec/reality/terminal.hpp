#pragma once

/// A process in a terminal of its own, with somebody who types and reads.

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <poll.h>
#include <pty.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace spec {

class terminal {
public:
  /// `within` runs in the process, and its exit code is what that returns.
  explicit terminal(const std::function<int()>& within) {
    // What has not been written yet would be written on the screen, too.
    std::cout.flush();
    auto size = winsize{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    pid = ::forkpty(&master, nullptr, nullptr, &size);
    REQUIRE(pid >= 0);
    if (pid == 0) {
      ::setenv("TERM", "xterm", 1);
      ::setenv("NOVACRON_HISTORY", "", 1);
      ::_exit(within());
    }
  }
  ~terminal() {
    if (pid > 0) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    ::close(master);
  }
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;

  void type(std::string_view keys) {
    CHECK(::write(master, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }

  /// Whether `text` appears after what was found before, within some seconds.
  bool shows(const std::string& text) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (true) {
      if (const auto at = seen.find(text, from); at != seen.npos) {
        from = at + text.size();
        return true;
      }
      auto ready = pollfd{master, POLLIN, 0};
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
      if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0)
        return false;
      char piece[4096];
      const auto count = ::read(master, piece, sizeof piece);
      if (count <= 0)
        return false;
      seen.append(piece, static_cast<std::size_t>(count));
    }
  }

  /// Its exit code; it is killed if it does not end within some seconds.
  int ended() {
    auto status = 0;
    // What it still writes must be read, or it cannot end.
    shows("\x01 never written");
    if (::waitpid(pid, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::seconds{1});
      ::kill(pid, SIGKILL);
      ::waitpid(pid, &status, 0);
    }
    pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  const std::string& all() const { return seen; }

private:
  pid_t pid = -1;
  int master = -1;
  std::string seen;
  std::size_t from = 0;
};

} // namespace spec
