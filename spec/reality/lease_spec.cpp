/// What must not run twice ends on a node that is out of reach, whatever has become of the node's own process.

#include "actors/host/cgroup.hpp"
#include "spec/reality/container_kit.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <thread>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
using monotonic = std::chrono::steady_clock;

namespace {

wire::Instance bound(const std::string& name, const std::string& script, std::chrono::milliseconds after) {
  auto x = instance(name, script);
  x.mutable_spec()->mutable_on_disconnect()->set_action(wire::ON_DISCONNECT_STOP_AFTER);
  x.mutable_spec()->mutable_on_disconnect()->set_after_ms(static_cast<std::uint64_t>(after.count()));
  return x;
}

const auto forever = std::string{"trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"};
const auto deaf = std::string{"trap : TERM; echo up; while :; do sleep 0.1; done"};

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("what another node takes over ends in time, though the node's own process is dead") {
  if (!can_run())
    return;
  auto place = ground{};
  auto node = agent_process{place};
  auto stubborn = bound("deaf.0", deaf, 3s);
  stubborn.mutable_spec()->set_stop_grace_ms(2000);
  const auto all = std::vector{bound("guard.0", forever, 3s), stubborn, instance("keeper.0", forever)};
  const auto runs = [&](const std::string& name) { return members(place.data(), name) > 0; };
  const auto running = [&] { return runs("guard.0") && runs("deaf.0") && runs("keeper.0"); };
  node.start(all);
  REQUIRE(eventually(running));
  // A lease that is renewed does not end.
  std::this_thread::sleep_for(4s);
  REQUIRE(running());
  const auto dead = monotonic::now();
  node.kill();
  REQUIRE(running());
  REQUIRE(eventually([&] { return !runs("guard.0"); }));
  CHECK(monotonic::now() - dead < 4s);
  CHECK(monotonic::now() - dead > 1s);
  CHECK(runs("deaf.0"));
  REQUIRE(eventually([&] { return !runs("deaf.0"); }));
  CHECK(monotonic::now() - dead < 6s);
  CHECK(runs("keeper.0"));
  WHEN("the process is back, still out of reach") {
    node.cut(true);
    node.start(all);
    std::this_thread::sleep_for(2s);
    THEN("it starts neither again, until it is told so") {
      CHECK_FALSE(runs("guard.0"));
      CHECK_FALSE(runs("deaf.0"));
      CHECK(runs("keeper.0"));
      CHECK(node.status("guard.0").phase() == wire::PHASE_STOPPED);
      CHECK(node.status("guard.0").reason() == "stopped: no controller is in reach");
      node.cut(false);
      CHECK(eventually(running));
    }
  }
  WHEN("the process is back in reach") {
    node.start(all);
    THEN("all of it runs again") {
      CHECK(eventually(running));
    }
  }
}

SCENARIO("what another node takes over ends in time on a node that is cut off, frozen or not") {
  if (!can_run())
    return;
  auto place = ground{};
  auto node = agent_process{place};
  const auto runs = [&](const std::string& name) { return members(place.data(), name) > 0; };
  node.start({bound("guard.0", forever, 2s), instance("keeper.0", forever)});
  REQUIRE(eventually([&] { return runs("guard.0") && runs("keeper.0"); }));
  REQUIRE(eventually([&] { return node.status("guard.0").phase() == wire::PHASE_RUNNING; }));
  SUBCASE("frozen") {
    host::cgroup{host::find_cgroups(), group_of(place.data(), "guard.0")}.freeze(true);
  }
  SUBCASE("not frozen") {}
  node.cut(true);
  REQUIRE(eventually([&] { return !runs("guard.0"); }, 4s));
  CHECK(eventually([&] { return node.status("guard.0").phase() == wire::PHASE_STOPPED; }, 2s));
  std::this_thread::sleep_for(1s);
  CHECK_FALSE(runs("guard.0"));
  CHECK(runs("keeper.0"));
  node.cut(false);
  CHECK(eventually([&] { return runs("guard.0"); }));
  CHECK(eventually([&] { return node.status("guard.0").phase() == wire::PHASE_RUNNING; }));
}

SCENARIO("nothing that another node takes over starts on a lease that is over") {
  if (!can_run())
    return;
  auto place = ground{};
  auto node = agent_process{place};
  auto failing = bound("guard.0", "sleep 1; exit 1", 2s);
  failing.mutable_spec()->mutable_restart()->set_delay_ms(50);
  node.start({failing});
  REQUIRE(eventually([&] { return node.status("guard.0").restarts() > 1; }));
  node.cut(true);
  // Its own restart policy would start it again and again.
  REQUIRE(eventually([&] { return node.status("guard.0").phase() == wire::PHASE_STOPPED; }, 5s));
  const auto restarts = node.status("guard.0").restarts();
  std::this_thread::sleep_for(2s);
  CHECK(members(place.data(), "guard.0") == 0);
  CHECK(node.status("guard.0").restarts() == restarts);
  node.cut(false);
  CHECK(eventually([&] { return node.status("guard.0").restarts() > restarts; }));
}

TEST_SUITE_END();
