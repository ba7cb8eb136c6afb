#include "actors/shell/program.hpp"
#include "actors/shell/shell_main.hpp"

#include "spec/shell/fake_fabric.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <thread>

using namespace novacron::shell;
using namespace std::chrono_literals;

namespace {

/// Our own program in a terminal of its own.
class terminal {
public:
  explicit terminal(std::vector<std::string> words) {
    auto size = winsize{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    words.insert(words.begin(), "novacron");
    pid = ::forkpty(&master, nullptr, nullptr, &size);
    REQUIRE(pid >= 0);
    if (pid == 0) {
      ::setenv("TERM", "xterm", 1);
      ::setenv("NOVACRON_HISTORY", "", 1);
      auto arguments = std::vector<char*>{};
      for (auto& x : words)
        arguments.push_back(x.data());
      ::_exit(shell_main(static_cast<int>(arguments.size()), arguments.data(), {}));
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
    const auto end = std::chrono::steady_clock::now() + 20s;
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

  int ended() {
    auto status = 0;
    // What it still writes must be read, or it cannot end.
    shows("\x01 never written");
    ::waitpid(pid, &status, 0);
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

std::string play(const fake_request& x) {
  if (x.line == "GET /v1/version")
    return answer(R"({"node":"cloud-1","version":"1"})");
  if (x.line == "GET /v1/nodes")
    return answer(R"({"nodes":[{"record":{"facts":{"name":"edge-17","role":"edge"}},"state":"ready"}]})");
  if (x.line.find("/logs?") != std::string::npos)
    return x.line.find("offset=0&") != std::string::npos ? answer(R"({"data":"aGVsbG8K","next_offset":"6"})")
                                                         : std::string{"..."};
  return answer("{}");
}

} // namespace

SCENARIO("a person works in the shell") {
  auto fabric = fake_fabric{play};
  auto screen = terminal{{"shell", "--connect=" + fabric.path()}};
  REQUIRE_MESSAGE(screen.shows("cloud-1> "), screen.all());
  WHEN("a word is begun, Tab finishes it") {
    screen.type("node sho\tedg\t\n");
    CHECK(screen.shows("\n"));
    CHECK(screen.shows("cloud-1> "));
    CHECK(fabric.asked().back().line == "GET /v1/nodes/edge-17");
  }
  WHEN("Ctrl-C is pressed while logs are followed, only that stops") {
    screen.type("logs -f web.0\n");
    CHECK(screen.shows("hello"));
    screen.type("\x03");
    CHECK(screen.shows("cloud-1> "));
    screen.type("node list -q\n");
    CHECK(screen.shows("edge-17"));
  }
  WHEN("Ctrl-C is pressed at the prompt, the line is gone and the shell stays") {
    screen.type("xyzzy");
    CHECK(screen.shows("xyzzy"));
    screen.type("\x03");
    CHECK(screen.shows("cloud-1> "));
    screen.type(".timing on\nnode list\n");
    CHECK(screen.shows("took "));
  }
  WHEN("Ctrl-D is pressed, it leaves") {
    screen.type("\x04");
    CHECK(screen.ended() == 0);
  }
}

SCENARIO("what follows something ends with the reader of its output, also while nothing comes") {
  auto fabric = fake_fabric{play};
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const auto connect = "--connect=" + fabric.path();
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    auto words = std::vector<std::string>{"novacron", connect, "logs", "-f", "web.0"};
    auto arguments = std::vector<char*>{};
    for (auto& x : words)
      arguments.push_back(x.data());
    ::_exit(shell_main(static_cast<int>(arguments.size()), arguments.data(), {}));
  }
  ::close(ends[1]);
  char piece[64];
  CHECK(::read(ends[0], piece, sizeof piece) > 0);
  // As `| head -1` does after its line.
  ::close(ends[0]);
  auto status = 0;
  auto waited = 0ms;
  while (::waitpid(pid, &status, WNOHANG) == 0 && waited < 20s) {
    std::this_thread::sleep_for(10ms);
    waited += 10ms;
  }
  CHECK(waited < 20s);
  ::kill(pid, SIGKILL);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 141);
}
