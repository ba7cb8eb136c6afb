#include "actors/host/log.hpp"
#include "actors/workload/agent_actor.hpp"
#include "messages/fault.hpp"
#include "spec/stage.hpp"
#include "spec/workload/staged_agent.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

SCENARIO("an agent that is alone grows quiet, and is as quick as ever once somebody has answered") {
  auto heard = 0;
  auto answers = false;
  auto on = spec::stage{};
  const auto boss = on.system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const wire::NodeReport&) -> caf::result<wire::Done> {
      ++heard;
      if (answers)
        return wire::Done{};
      return caf::make_error(fault::unreachable, "nobody leads");
    }};
  });
  auto settings = settings_of("edge-1");
  settings.report_interval = 60s;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  const auto agent = spawn_agent(on.system, settings, std::make_shared<idle_driver>(),
                                 access_to(std::filesystem::path{"/nowhere"}), boss);
  const auto reports_in = [&](duration length) {
    heard = 0;
    on.pass(length, 250ms);
    return heard;
  };
  // A leader may be about to be found.
  CHECK(reports_in(2s) >= 8);
  reports_in(5min);
  CHECK(reports_in(30min) <= 60);
  // Whoever has come back may lead in a moment: after three days alone, a minute more is not waited.
  on.audience->send(agent, wire::NodeArrived{});
  CHECK(reports_in(2s) >= 8);
  reports_in(5min);
  CHECK(reports_in(30min) <= 60);
  answers = true;
  reports_in(1min);
  CHECK(reports_in(30min) == 30);
  answers = false;
  CHECK(reports_in(62s) >= 8);
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("images that do not come delay no start of what is here") {
  struct language : caf::actor_system_config {
    language() { add_language(*this); }
  };
  auto gate = std::promise<void>{};
  auto near = std::promise<void>{};
  auto far = std::promise<void>{};
  const auto driver = std::make_shared<idle_driver>();
  driver->started = [&](const std::string& name) {
    if (name == "near.0")
      near.set_value();
    if (name == "far.0")
      far.set_value();
  };
  auto images = access_to(std::filesystem::path{"/nowhere"});
  images.acquire = [here = images.acquire](const std::string& image, const std::string& holder) -> outcome<image_root> {
    if (image == "far")
      return trouble{fault::not_found, "it is not here"};
    return here(image, holder);
  };
  images.fetch = [opened = gate.get_future().share()](const std::string&, const std::string&) -> outcome<image_root> {
    opened.wait();
    return image_root{.root = "/nowhere"};
  };
  auto config = language{};
  auto system = caf::actor_system{config};
  auto self = caf::scoped_actor{system};
  const auto agent = spawn_agent(system, settings_of("edge-1"), driver, images, {});
  auto order = wire::Assign{};
  order.set_node("edge-1");
  // More of them than are fetched at a time.
  for (auto i = 0; i < 8; ++i)
    add(order, "far." + std::to_string(i), "far");
  for (auto revision = 1u; revision <= 2; ++revision) {
    order.set_revision(revision);
    self->request(agent, 5s, order).receive([](const wire::Done&) {}, [](caf::error&) { FAIL_CHECK("refused"); });
    if (revision == 1)
      add(order, "near.0", "near");
  }
  CHECK(near.get_future().wait_for(10s) == std::future_status::ready);
  auto fetched = far.get_future();
  CHECK(fetched.wait_for(0s) == std::future_status::timeout);
  gate.set_value();
  CHECK(fetched.wait_for(10s) == std::future_status::ready);
  self->send_exit(agent, caf::exit_reason::user_shutdown);
}

SCENARIO("the reports of an agent that follows another one in the same process come after those of the other") {
  auto numbers = std::vector<std::uint64_t>{};
  auto on = spec::stage{};
  const auto boss = on.system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const wire::NodeReport& x) {
      numbers.push_back(x.number());
      return wire::Done{};
    }};
  });
  auto settings = settings_of("edge-1");
  settings.incarnation = 3;
  settings.report_interval = 1s;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  for (auto life = 0; life < 2; ++life) {
    const auto agent = spawn_agent(on.system, settings, std::make_shared<idle_driver>(),
                                   access_to(std::filesystem::path{"/nowhere"}), boss);
    on.pass(3s, 250ms);
    on.audience->send_exit(agent, caf::exit_reason::kill);
    on.settle();
  }
  CHECK(numbers.size() > 4);
  CHECK(std::ranges::adjacent_find(numbers, std::ranges::greater_equal{}) == numbers.end());
}

SCENARIO("an agent that cannot read what it was assigned ends nothing of what is here") {
  auto on = spec::stage{};
  auto settings = settings_of("edge-1");
  const auto disk = std::make_shared<damaged_disk>();
  settings.disk = disk;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  add(order, "a.0", "near");
  const auto driver = std::make_shared<found_driver>();
  auto& here = driver->found.emplace_back();
  here.instance = order.instances(0);
  here.status.set_name("a.0");
  here.status.set_epoch(1);
  here.status.set_generation(1);
  here.status.set_phase(wire::PHASE_RUNNING);
  here.alive = true;
  auto remains = std::size_t{1};
  SUBCASE("it is gone") {}
  SUBCASE("it is empty") { disk->content = ""; }
  SUBCASE("it is torn") { disk->content = order.SerializeAsString().substr(0, 20); }
  SUBCASE("it is another node's") {
    order.set_node("edge-2");
    disk->content = order.SerializeAsString();
  }
  SUBCASE("it can be read, and it is not in it") {
    order.clear_instances();
    disk->content = order.SerializeAsString();
    remains = 0;
  }
  const auto agent = spawn_agent(on.system, settings, driver, access_to(std::filesystem::path{"/nowhere"}), nullptr);
  on.pass(2s, 250ms);
  CHECK(driver->running_now.size() == remains);
  const auto now = on.ask<wire::NodeReport>(agent, wire::ReportRequest{});
  REQUIRE(now);
  CHECK(now->revision() == (remains == 1 ? 0 : 4));
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("an agent follows changes of its own assignment, and says what changed") {
  auto wholes = std::vector<wire::NodeReport>{};
  auto changes = std::vector<wire::ReportChange>{};
  auto follows = true;
  auto on = spec::stage{};
  const auto boss = on.system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const wire::NodeReport& x) {
              wholes.push_back(x);
              return wire::Done{};
            },
            [&](const wire::ReportChange& x) -> caf::result<wire::Done> {
              if (!follows)
                return caf::make_error(fault::conflict, "another report is here");
              changes.push_back(x);
              return wire::Done{};
            }};
  });
  auto settings = settings_of("edge-1");
  settings.report_interval = 60s;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  const auto agent = spawn_agent(on.system, settings, std::make_shared<mortal_driver>(),
                                 access_to(std::filesystem::path{"/nowhere"}), boss);
  on.settle();
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  order.set_takes_changes(true);
  add(order, "a.0", "near");
  add(order, "b.0", "near");
  REQUIRE(on.ask<wire::Done>(agent, order));
  on.pass(2s, 250ms);
  REQUIRE(wholes.size() == 1);
  REQUIRE_FALSE(changes.empty());
  CHECK(changes.front().base() == wholes.back().number());
  CHECK(changes.back().revision() == 4);

  changes.clear();
  auto change = wire::AssignChange{};
  change.set_node("edge-1");
  change.set_base(4);
  change.set_revision(6);
  change.add_gone("a.0");
  auto more = wire::Assign{};
  add(more, "c.0", "near");
  *change.add_instances() = more.instances(0);
  auto wrong = change;
  wrong.set_base(5);
  const auto refused = on.ask<wire::Done>(agent, wrong);
  REQUIRE_FALSE(refused);
  CHECK(explain(refused.error()).kind == fault::conflict);
  wrong.set_node("edge-2");
  CHECK_FALSE(on.ask<wire::Done>(agent, wrong));
  REQUIRE(on.ask<wire::Done>(agent, change));
  // Its answer may have been lost.
  CHECK(on.ask<wire::Done>(agent, change)->index() == 6);
  on.pass(2s, 250ms);
  auto said = std::set<std::string>{};
  for (const auto& x : changes) {
    for (const auto& each : x.instances())
      said.insert(each.name());
    for (const auto& name : x.gone())
      said.insert("no " + name);
  }
  CHECK(said.contains("c.0"));
  CHECK(said.contains("no a.0"));
  CHECK_FALSE(said.contains("b.0"));
  const auto now = on.ask<wire::NodeReport>(agent, wire::ReportRequest{});
  REQUIRE(now);
  CHECK(now->revision() == 6);
  CHECK(now->instances_size() == 2);

  // Whoever has another report is told all there is, at once.
  follows = false;
  wholes.clear();
  change.set_base(6);
  change.set_revision(7);
  change.clear_instances();
  change.clear_gone();
  change.add_gone("b.0");
  REQUIRE(on.ask<wire::Done>(agent, change));
  on.settle();
  REQUIRE_FALSE(wholes.empty());
  CHECK(wholes.back().revision() == 7);
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("a controller that does not say that it takes changes, or answers none, is told all there is") {
  auto wholes = 0;
  auto changes = 0;
  auto answers = true;
  auto on = spec::stage{};
  const auto boss = on.system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const wire::NodeReport& x) {
              CHECK(x.takes_changes());
              ++wholes;
              return wire::Done{};
            },
            [&](const wire::ReportChange&) -> caf::result<wire::Done> {
              ++changes;
              if (!answers)
                return caf::make_error(fault::unreachable, "no answer");
              return wire::Done{};
            }};
  });
  auto settings = settings_of("edge-1");
  settings.report_interval = 60s;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  const auto runs = std::make_shared<mortal_driver>();
  const auto agent = spawn_agent(on.system, settings, runs, access_to(std::filesystem::path{"/nowhere"}), boss);
  const auto said_after = [&](std::uint64_t revision, bool takes_changes, const std::string& name) {
    wholes = changes = 0;
    auto order = wire::Assign{};
    order.set_node("edge-1");
    order.set_revision(revision);
    order.set_takes_changes(takes_changes);
    add(order, name, "near");
    REQUIRE(on.ask<wire::Done>(agent, order));
    on.pass(2s, 250ms);
  };
  on.settle();
  said_after(4, false, "a.0");
  CHECK(wholes > 0);
  CHECK(changes == 0);
  said_after(5, true, "b.0");
  CHECK(changes > 0);
  // One that took changes is followed by one that does not.
  answers = false;
  said_after(6, true, "c.0");
  CHECK(changes > 0);
  CHECK(wholes > 0);
  // It answers again, and need not assign anything to be told what changed.
  answers = true;
  on.pass(2s, 250ms);
  wholes = changes = 0;
  runs->end("c.0");
  on.settle();
  CHECK(changes > 0);
  CHECK(wholes == 0);
  said_after(7, false, "d.0");
  CHECK(changes == 0);
  CHECK(wholes > 0);
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("what a node finds of a former life and is not to run any more goes without having been started") {
  struct watched_driver : found_driver {
    std::set<std::string> destroyed;
    int starts = 0;
    void start(const std::string& name, then<running> done, over ended_then) override {
      ++starts;
      found_driver::start(name, std::move(done), std::move(ended_then));
    }
    void destroy(const std::string& name, then<> done) override {
      destroyed.insert(name);
      done(nothing{});
    }
  };
  auto on = spec::stage{};
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  add(order, "a.0", "near");
  const auto driver = std::make_shared<watched_driver>();
  auto& here = driver->found.emplace_back();
  here.instance = order.instances(0);
  here.status.set_phase(wire::PHASE_RUNNING);
  const auto disk = std::make_shared<damaged_disk>();
  order.clear_instances();
  disk->content = order.SerializeAsString();
  const auto agent =
      spawn_agent(on.system, settings_on(on, disk), driver, access_to(std::filesystem::path{"/nowhere"}), nullptr);
  on.pass(2s, 250ms);
  CHECK(driver->starts == 0);
  CHECK(driver->destroyed.contains("a.0"));
  CHECK(on.ask<wire::NodeReport>(agent, wire::ReportRequest{})->instances_size() == 0);
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("the end of a run is counted once, also when the node ends before the next run begins") {
  auto on = spec::stage{};
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  add(order, "a.0", "near");
  const auto disk = std::make_shared<damaged_disk>();
  disk->content = order.SerializeAsString();
  struct noting_driver : found_driver {
    wire::InstanceStatus noted;
    void remember(const std::string&, const wire::InstanceStatus& x) override { noted = x; }
  };
  auto code = 0;
  SUBCASE("well") {}
  SUBCASE("badly") {
    code = 3;
  }
  SUBCASE("before it had begun") {
    code = 125;
  }
  auto noted = wire::InstanceStatus{};
  noted.set_restarts(6);
  if (code != 125)
    noted.set_started_ms(1);
  noted.set_phase(code == 125 ? wire::PHASE_STARTING : wire::PHASE_RUNNING);
  for (auto life = 0; life < 2; ++life) {
    const auto driver = std::make_shared<noting_driver>();
    driver->found = {
        {.instance = order.instances(0), .status = noted, .how = ended{.code = code, .reason = "it ended"}}};
    const auto agent =
        spawn_agent(on.system, settings_on(on, disk), driver, access_to(std::filesystem::path{"/nowhere"}), nullptr);
    on.settle();
    // The first life sees the end and has not yet started it again; the second finds both on the disk.
    CHECK(driver->running_now.empty() == (life == 0));
    noted = driver->noted;
    CHECK(noted.restarts() == 7);
    on.audience->send_exit(agent, caf::exit_reason::kill);
    on.settle();
  }
}
