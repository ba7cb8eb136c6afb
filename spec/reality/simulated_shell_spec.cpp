#include "spec/reality/terminal.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

constexpr auto small_world = R"(
world {
  lost_after = "5s"

  [[hosts]]
  name = "cloud"
  count = 1
  role = "cloud"

  [[hosts]]
  name = "edge"
  count = 2
}
until nodes.ready == 3 within 30s

run {
  name = "web"
  image = "web:1"
  on_disconnect = "replace"
  resources = { cpu = 0.5, memory = "64MiB" }
}
until workload.web.running == 1 within 1m
)";

struct scenario_file {
  scenario_file() {
    char name[] = "/tmp/novacron-shell.XXXXXX";
    REQUIRE(::mkdtemp(name));
    home = name;
    std::ofstream{path()} << small_world;
  }
  ~scenario_file() { std::filesystem::remove_all(home); }
  std::string path() const { return home / "small.nova"; }
  std::filesystem::path home;
};

} // namespace

SCENARIO("a person works in the shell of a simulated fabric, and time passes as told") {
  const auto file = scenario_file{};
  auto screen = spec::terminal{
      [&] { return ::execl(NOVACRON, "novacron", "simulate", file.path().c_str(), "--shell", nullptr); }};
  REQUIRE_MESSAGE(screen.shows("> "), screen.all());
  const auto says = [&](const std::string& line, const std::string& answer) {
    screen.type(line + "\n");
    CHECK_MESSAGE(screen.shows(answer), line, ":\n", screen.all());
    CHECK(screen.shows("> "));
  };
  WHEN("days pass, they are days for whatever has an age") {
    says("advance 50h", "50:00:");
    says("ps", " 2d");
  }
  WHEN("a host fails, its work goes elsewhere, and what does not hold is said") {
    says("expect nodes.ready == 3", "00:00:");
    says("crash edge-1; advance 1m", "00:01:");
    says("ps", "running");
    says("expect nodes.ready == 3", "VIOLATED");
  }
  WHEN("something is mistyped, it says so and goes on") {
    says("advnce 5s", "unknown command 'advnce'; did you mean 'advance'?");
    says("crash egde-1", "no host is meant by 'egde-1'; did you mean 'edge-1'?");
    says("expect nodes.redy == 3", "there is no fact 'nodes.redy'; did you mean 'nodes.ready'?");
    says("advance soon", "'soon' is not a duration");
    says("node list", "edge-2");
  }
  WHEN("a verb of the world is begun, Tab finishes it") {
    says("adv\t5m", "00:05:");
  }
  WHEN("help is wanted, the verbs come before the commands") {
    says("help advance", "advance TIME");
    screen.type("help\n");
    CHECK(screen.shows("advance TIME"));
    CHECK(screen.shows("node"));
  }
  WHEN("Ctrl-C is pressed at the prompt, the line is gone and the shell stays") {
    screen.type("crash edge-1\x03");
    CHECK(screen.shows("> "));
    says("expect nodes.ready == 3; advance 0s", "00:00:");
  }
  screen.type("\x04");
  CHECK(screen.ended() == 0);
}
