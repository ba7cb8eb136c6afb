/// What a whole fabric promises about nodes that are emptied: what can move while it runs does, as often as it has to.

#include "spec/reality/moving_fabric.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

using namespace novacron;
using namespace std::chrono_literals;
using json = nlohmann::json;

TEST_SUITE_BEGIN("reality");

SCENARIO("a drained node gives its machine away without a gap, and says what becomes of everything there") {
  if (spec::cannot_move("drains while machines run"))
    return;
  auto x = spec::moving_fabric{};
  const auto from = x.node();
  const auto to = x.elsewhere();
  x.fabric.run("web", {"/bin/sh", "-c", "while :; do sleep 1; done"}, {{"placement", {{"prefer", {{"node", from}}}}}});
  const auto web = [&](const char* field) {
    for (const auto& each : x.fabric.get("/v1/instances").value("instances", json::array()))
      if (each.value("name", "") == "web.0")
        return each.value(field, "");
    return std::string{};
  };
  REQUIRE(spec::eventually([&] { return web("phase") == "PHASE_RUNNING"; }, 60s));
  REQUIRE(web("node") == from);
  const auto planned = x.command({"drain", from, "--check"});
  INFO(planned);
  CHECK(planned.find("migrate") != std::string::npos);
  CHECK(planned.find("1 to move while they run, 1 to stop and start elsewhere") != std::string::npos);
  const auto before = x.count();
  const auto said = x.command({"drain", from, "--wait", "--timeout=2m"});
  INFO(said);
  CHECK(said.find("vm.0 moves to " + to + " while it runs") != std::string::npos);
  CHECK(said.find("web.0 is stopped, and starts on " + to) != std::string::npos);
  CHECK(said.find("vm.0 is on " + to) != std::string::npos);
  CHECK(x.fabric.get("/v1/nodes/" + from).value("instances", 0) == 0);
  CHECK(x.node() == to);
  x.check_whole(before);
  REQUIRE(spec::eventually([&] { return web("phase") == "PHASE_RUNNING"; }, 60s));
  const auto history = x.fabric.get("/v1/migrations?state=over").value("migrations", json::array());
  REQUIRE(history.size() == 1);
  CHECK(history[0].value("cause", "") == "drain");
  CHECK(history[0].value("phase", "") == "moved");
}

/// NOVACRON_TOURS moves.
SCENARIO("a machine that writes to its memory all the time is whole however often it moves") {
  if (spec::cannot_move("many moves of one machine"))
    return;
  const auto tours = spec::wished("NOVACRON_TOURS", 4);
  auto x = spec::moving_fabric{{.edges = 3, .dirty_pages_per_second = 1000}};
  REQUIRE(spec::eventually([&] { return x.bad_pages() == 0; }, 60s));
  auto still_max = 0.0;
  for (auto i = 0L; i < tours; ++i) {
    const auto to = x.elsewhere();
    const auto before = x.count();
    const auto how = x.await_end(x.begin_move(to));
    INFO("move " << i << ": " << how.dump());
    REQUIRE(how.value("phase", "") == "moved");
    REQUIRE(x.node() == to);
    still_max = std::max(still_max, how.value("still_seconds", 0.0));
    REQUIRE(spec::eventually([&] { return x.bad_pages() >= 0; }, 60s));
    CHECK(x.bad_pages() == 0);
    x.check_whole(before);
  }
  MESSAGE(tours << " moves, stood still for at most " << still_max * 1000 << " ms");
}

TEST_SUITE_END();
