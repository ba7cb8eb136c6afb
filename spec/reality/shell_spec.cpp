#include "actors/shell/program.hpp"
#include "actors/shell/shell_main.hpp"

#include "spec/reality/terminal.hpp"
#include "spec/shell/fake_fabric.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <thread>

using namespace novacron::shell;
using namespace std::chrono_literals;

namespace {

/// The shell, started with these words.
spec::terminal shell_with(std::vector<std::string> words) {
  words.insert(words.begin(), "novacron");
  return spec::terminal{[&] {
    auto arguments = std::vector<char*>{};
    for (auto& x : words)
      arguments.push_back(x.data());
    return shell_main(static_cast<int>(arguments.size()), arguments.data(), {});
  }};
}

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
  auto screen = shell_with({"shell", "--connect=" + fabric.path()});
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
  WHEN("Ctrl-D is pressed while something runs, it leaves after that") {
    screen.type("watch --count=3 0.3 node list -q\n");
    CHECK(screen.shows("edge-17\r\n"));
    screen.type("\x04");
    CHECK(screen.ended() == 0);
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
