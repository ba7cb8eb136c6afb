#include "actors/host/log.hpp"
#include "messages/fault.hpp"
#include "spec/workload/staged_agent.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

SCENARIO("an agent says that it keeps an assignment once that is certain to stay on its disk, and not before") {
  struct stubborn_disk : forgetful_disk {
    bool fails = true;
    int written = 0;
    void replace(const std::filesystem::path&, std::string_view) override { ++written; }
    void settle(const std::filesystem::path&) override {
      if (fails)
        throw std::system_error{EIO, std::system_category(), "it cannot be settled"};
    }
  };
  auto on = spec::stage{};
  const auto disk = std::make_shared<stubborn_disk>();
  const auto agent = spawn_agent(on.system, settings_on(on, disk), std::make_shared<mortal_driver>(),
                                 access_to(std::filesystem::path{"/nowhere"}), nullptr);
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  add(order, "a.0", "near");
  auto older = order;
  older.set_revision(3);
  auto change = wire::AssignChange{};
  change.set_node("edge-1");
  change.set_base(4);
  change.set_revision(5);
  change.add_gone("a.0");
  const auto is_refused = [&](const auto& x) {
    const auto answer = on.ask<wire::Done>(agent, x);
    return !answer && explain(answer.error()).kind == fault::storage;
  };
  const auto is_kept_after = [&](const auto& first, const auto& again) {
    disk->fails = true;
    CHECK(is_refused(first));
    CHECK(is_refused(again));
    disk->fails = false;
    disk->written = 0;
    REQUIRE(on.ask<wire::Done>(agent, again));
    // The kernel forgets what it could not write.
    CHECK(disk->written == 1);
    REQUIRE(on.ask<wire::Done>(agent, again));
    CHECK(disk->written == 1);
  };
  SUBCASE("it is repeated") {
    is_kept_after(order, order);
  }
  SUBCASE("an older one comes after it") {
    is_kept_after(order, older);
  }
  SUBCASE("a change of it is repeated") {
    is_kept_after(order, order);
    is_kept_after(change, change);
  }
  SUBCASE("it was written by a former life, which may have ended before it was settled") {
    on.audience->send_exit(agent, caf::exit_reason::kill);
    on.settle();
    struct second_disk : stubborn_disk {
      std::string content;
      std::optional<std::string> read(const std::filesystem::path&) override { return content; }
    };
    const auto second = std::make_shared<second_disk>();
    second->content = order.SerializeAsString();
    const auto next = spawn_agent(on.system, settings_on(on, second), std::make_shared<mortal_driver>(),
                                  access_to(std::filesystem::path{"/nowhere"}), nullptr);
    CHECK_FALSE(on.ask<wire::Done>(next, order));
    second->fails = false;
    CHECK(on.ask<wire::Done>(next, order));
    on.audience->send_exit(next, caf::exit_reason::kill);
  }
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("a node that starts on a full disk follows the assignment that it has there") {
  struct full_disk : damaged_disk {
    void replace(const std::filesystem::path&, std::string_view) override {
      throw std::system_error{ENOSPC, std::system_category(), "assign.pb"};
    }
  };
  auto on = spec::stage{};
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  add(order, "a.0", "near");
  const auto disk = std::make_shared<full_disk>();
  disk->content = order.SerializeAsString();
  auto settings = settings_on(on, disk);
  const auto lease = std::make_shared<paper_lease>();
  settings.lease = lease;
  const auto driver = std::make_shared<mortal_driver>();
  const auto agent = spawn_agent(on.system, settings, driver, access_to(std::filesystem::path{"/nowhere"}), nullptr);
  const auto same = on.ask<wire::Done>(agent, order);
  REQUIRE(same);
  CHECK(same->index() == 4);
  CHECK(driver->running_now.contains("a.0"));
  order.set_revision(5);
  const auto newer = on.ask<wire::Done>(agent, order);
  REQUIRE(newer);
  CHECK(newer->index() == 5);
  order.set_revision(6);
  add(order, "b.0", "near");
  const auto other = on.ask<wire::Done>(agent, order);
  REQUIRE_FALSE(other);
  CHECK(explain(other.error()).kind == fault::storage);
  CHECK_FALSE(driver->running_now.contains("b.0"));
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("a disk that takes long is asked for one sync at a time, and what it loses is written again") {
  struct slow_disk : forgetful_disk {
    int written = 0;
    int settled = 0;
    bool fails = false;
    void replace(const std::filesystem::path&, std::string_view) override { ++written; }
    void settle(const std::filesystem::path&) override {
      ++settled;
      if (fails)
        throw std::system_error{EIO, std::system_category(), "it cannot be settled"};
    }
  };
  auto on = spec::stage{};
  const auto disk = std::make_shared<slow_disk>();
  auto settings = settings_on(on, disk);
  auto work = std::vector<std::function<void()>>{};
  settings.workers = std::make_shared<host::crew>([&](std::function<void()> x) { work.push_back(std::move(x)); });
  const auto agent = spawn_agent(on.system, settings, std::make_shared<idle_driver>(),
                                 access_to(std::filesystem::path{"/nowhere"}), nullptr);
  const auto do_it = [&] {
    for (const auto& each : std::exchange(work, {}))
      each();
    on.settle();
  };
  auto order = wire::Assign{};
  order.set_node("edge-1");
  auto kept = 0;
  auto refused = 0;
  auto asked = std::vector<std::function<void()>>{};
  const auto ask = [&](std::uint64_t revision) {
    order.set_revision(revision);
    auto handle = std::make_shared<decltype(on.audience->request(agent, caf::infinite, order))>(
        on.audience->request(agent, caf::infinite, order));
    asked.emplace_back(
        [&, handle] { handle->receive([&](const wire::Done&) { ++kept; }, [&](const caf::error&) { ++refused; }); });
    on.settle();
  };
  const auto hear = [&] {
    for (const auto& each : std::exchange(asked, {}))
      each();
  };
  ask(4);
  ask(4);
  ask(4);
  CHECK(disk->written == 1);
  CHECK(work.size() == 1);
  WHEN("it comes through in the end") {
    do_it();
    hear();
    CHECK(kept == 3);
    CHECK(disk->settled == 1);
  }
  WHEN("more is written meanwhile, it is asked once more") {
    ask(5);
    CHECK(disk->written == 2);
    CHECK(work.size() == 1);
    do_it();
    CHECK(work.size() == 1);
    do_it();
    hear();
    CHECK(kept == 4);
    CHECK(disk->settled == 2);
  }
  WHEN("it loses what was written, what was written meanwhile is not believed either") {
    ask(5);
    disk->fails = true;
    do_it();
    hear();
    CHECK(refused == 4);
    CHECK(work.empty());
    disk->fails = false;
    ask(5);
    CHECK(disk->written == 3);
    do_it();
    hear();
    CHECK(kept == 1);
  }
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("an instance runs on while nothing can be written down about it, and is written down later") {
  struct full_driver : mortal_driver {
    bool full = true;
    int starts = 0;
    bool stands = false;
    wire::InstanceStatus noted;
    void pause(const std::string&, bool paused, then<> done) override {
      stands = paused;
      done(nothing{});
    }
    void start(const std::string& name, then<running> done, over ended_then) override {
      ++starts;
      mortal_driver::start(name, std::move(done), std::move(ended_then));
    }
    void remember(const std::string&, const wire::InstanceStatus& x) override {
      if (full)
        throw std::system_error{ENOSPC, std::system_category(), "status.pb"};
      noted = x;
    }
  };
  auto said = 0;
  // Whatever another spec has left.
  host::set_log_level("instances", host::level::warn);
  host::set_log_sink([&](std::string_view line) { said += line.find("cannot write down") != line.npos; });
  auto on = spec::stage{};
  const auto driver = std::make_shared<full_driver>();
  const auto agent = spawn_agent(on.system, settings_on(on, std::make_shared<forgetful_disk>()), driver,
                                 access_to(std::filesystem::path{"/nowhere"}), nullptr);
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(4);
  add(order, "a.0", "near");
  REQUIRE(on.ask<wire::Done>(agent, order));
  on.pass(1min, 250ms);
  CHECK(driver->starts == 1);
  CHECK(said == 1);
  const auto now = on.ask<wire::NodeReport>(agent, wire::ReportRequest{});
  REQUIRE(now->instances_size() == 1);
  CHECK(now->instances(0).phase() == wire::PHASE_RUNNING);
  // A pause that would not outlive this node's process is none.
  auto pause = wire::PauseInstance{};
  pause.set_instance("a.0");
  pause.set_paused(true);
  const auto refused = on.ask<wire::Done>(agent, pause);
  REQUIRE_FALSE(refused);
  CHECK(explain(refused.error()).kind == fault::storage);
  CHECK_FALSE(driver->stands);
  driver->full = false;
  on.pass(10s, 250ms);
  CHECK(driver->noted.phase() == wire::PHASE_RUNNING);
  CHECK(said == 1);
  REQUIRE(on.ask<wire::Done>(agent, pause));
  CHECK(driver->stands);
  CHECK(driver->noted.phase() == wire::PHASE_PAUSED);
  on.audience->send_exit(agent, caf::exit_reason::kill);
  on.settle();
  host::set_log_sink({});
  host::clear_log_levels();
}
