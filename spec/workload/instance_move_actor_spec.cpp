#include "actors/workload/guest_mover.hpp"
#include "actors/workload/instance_actor.hpp"
#include "messages/fault.hpp"
#include "spec/stage.hpp"
#include "spec/workload/staged_agent.hpp"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

namespace {

/// Notes what is wanted of it, and says how it went when the spec does.
struct paper_mover : guest_mover {
  std::vector<std::string> notes;
  then<std::vector<std::string>> listens;
  then<departure> sent;
  told progress;

  void take_in(const wire::Instance& what, then<std::vector<std::string>> where) override {
    notes.push_back("take in " + what.name());
    listens = std::move(where);
  }
  void send(const wire::Instance& what, told tell, then<departure> done) override {
    notes.push_back("send " + what.move().migration());
    progress = std::move(tell);
    sent = std::move(done);
  }
  void settle(const wire::Instance& what, then<departure> done) override {
    notes.push_back("settle " + what.name());
    sent = std::move(done);
  }
  void stop(const std::string& instance) override { notes.push_back("stop " + instance); }
};

struct machine_like : found_driver {
  std::vector<std::string> notes;
  bool leaves = false;
  void start(const std::string& name, then<running> done, over ended_then) override {
    notes.push_back("start " + name);
    found_driver::start(name, std::move(done), std::move(ended_then));
  }
  void receive(const std::string& name, then<running> done, over ended_then) override {
    notes.push_back("receive " + name);
    found_driver::start(name, std::move(done), std::move(ended_then));
  }
  void arrive(const wire::Instance& what, then<> done) override {
    notes.push_back("arrive " + what.name());
    done(nothing{});
  }
  int remembers = 0;
  bool slow = false;
  then<> destroyed;
  void remember(const std::string&, const wire::InstanceStatus&) override { ++remembers; }
  void destroy(const std::string& name, then<> done) override {
    if (!slow)
      return found_driver::destroy(name, std::move(done));
    destroyed = std::move(done);
  }
  bool departs(const std::string&) const override { return leaves; }
  std::string why_immovable(const std::string&) const override { return "it is nailed down"; }
  bool noted(const std::string& x) const { return std::ranges::find(notes, x) != notes.end(); }
};

/// An agent with one instance, and what its controller assigns it.
struct ground {
  spec::stage on;
  std::shared_ptr<paper_mover> mover = std::make_shared<paper_mover>();
  std::shared_ptr<machine_like> driver = std::make_shared<machine_like>();
  wire::InstanceStatus last;
  caf::actor boss;
  agent_actor agent;
  wire::Assign order;

  void begin() {
    boss = on.system.spawn([this](caf::event_based_actor*) -> caf::behavior {
      return {[this](const wire::NodeReport& x) {
        for (const auto& each : x.instances())
          last = each;
        return wire::Done{};
      }};
    });
    auto settings = settings_on(on, std::make_shared<forgetful_disk>());
    settings.mover = mover;
    agent = spawn_agent(on.system, settings, driver, access_to(std::filesystem::path{"/nowhere"}), boss);
    order.set_node("edge-1");
    add(order, "vm.0", "image");
  }
  ~ground() { on.audience->send_exit(agent, caf::exit_reason::kill); }
  wire::Move& move() { return *order.mutable_instances(0)->mutable_move(); }
  void assign() {
    order.set_revision(order.revision() + 1);
    REQUIRE(on.ask<wire::Done>(agent, order));
    on.pass(3s);
  }
  void go(const std::string& name) {
    move().set_migration(name);
    move().clear_inlets();
    move().add_inlets("192.0.2.1:1");
    assign();
  }
  void answer(bool moved) {
    std::exchange(mover->sent, nullptr)(departure{.moved = moved, .reason = "the link broke"});
    on.pass(3s);
  }
};

} // namespace

SCENARIO("what is to go elsewhere is sent once its target listens, once, and goes on if it stays") {
  auto x = ground{};
  x.begin();
  x.assign();
  CHECK(x.last.phase() == wire::PHASE_RUNNING);
  CHECK(x.last.immovable() == "it is nailed down");
  x.move().set_migration("vm.0-7");
  x.assign();
  CHECK(x.mover->notes.empty());
  x.go("vm.0-7");
  CHECK(x.mover->notes == std::vector<std::string>{"send vm.0-7"});
  auto far = wire::MoveProgress{};
  far.set_phase("moving");
  far.set_part(0.5);
  x.mover->progress(far);
  x.on.pass(3s);
  CHECK(x.last.progress().part() == 0.5);
  CHECK(x.last.phase() == wire::PHASE_RUNNING);
  // It can neither be paused nor started again nor changed meanwhile.
  const auto why_not = [](const auto& answer) {
    REQUIRE_FALSE(answer);
    return explain(answer.error()).text;
  };
  auto pause = wire::PauseInstance{};
  pause.set_instance("vm.0");
  pause.set_paused(true);
  CHECK(why_not(x.on.ask<wire::Done>(x.agent, pause)).find("on the move") != std::string::npos);
  auto restart = wire::RestartInstance{};
  restart.set_instance("vm.0");
  CHECK(why_not(x.on.ask<wire::Done>(x.agent, restart)).find("on the move") != std::string::npos);
  SUBCASE("it stays") {
    x.answer(false);
    CHECK(x.last.phase() == wire::PHASE_RUNNING);
    CHECK_FALSE(x.last.has_progress());
    // As long as that is assigned it is not tried again; another one is.
    x.move().add_inlets("192.0.2.1:2");
    x.assign();
    CHECK(x.mover->notes.size() == 1);
    x.go("vm.0-9");
    CHECK(x.mover->notes.back() == "send vm.0-9");
  }
  SUBCASE("it is cancelled") {
    x.order.mutable_instances(0)->clear_move();
    x.assign();
    CHECK(x.mover->notes.back() == "stop vm.0");
    x.answer(false);
    CHECK(x.last.phase() == wire::PHASE_RUNNING);
    CHECK(x.on.ask<wire::Done>(x.agent, restart));
  }
  SUBCASE("another move is ordered before the first one is over") {
    x.go("vm.0-9");
    CHECK(x.mover->notes.back() == "stop vm.0");
    x.answer(false);
    CHECK(x.mover->notes.back() == "send vm.0-9");
  }
  SUBCASE("it runs elsewhere") {
    x.answer(true);
    CHECK(x.last.phase() == wire::PHASE_MIGRATING);
    CHECK(x.driver->notes == std::vector<std::string>{"start vm.0"});
  }
  SUBCASE("it is removed before it has said so itself") {
    x.order.clear_instances();
    x.driver->slow = true;
    x.assign();
    x.driver->remembers = 0;
    x.answer(true);
    // What is written down now would be left there for ever.
    CHECK(x.driver->remembers == 0);
    x.driver->destroyed(nothing{});
    x.on.pass(3s);
  }
  SUBCASE("its machine ends before it is known where it runs") {
    x.driver->end("vm.0");
    x.on.pass(30s);
    // It must not begin anew: it may run there.
    CHECK(x.driver->notes == std::vector<std::string>{"start vm.0"});
    SUBCASE("here") {
      x.answer(false);
      x.on.pass(30s);
      CHECK(x.driver->notes.size() == 2);
    }
    SUBCASE("there") {
      x.answer(true);
      x.on.pass(30s);
      CHECK(x.driver->notes.size() == 1);
    }
  }
}

SCENARIO("what comes waits for its guest, and runs when it is assigned as one's own") {
  auto x = ground{};
  x.begin();
  x.move().set_migration("vm.0-7");
  x.move().set_arrives(true);
  x.assign();
  CHECK(x.driver->notes == std::vector<std::string>{"receive vm.0"});
  CHECK(x.last.phase() == wire::PHASE_MIGRATING);
  REQUIRE(x.mover->listens);
  SUBCASE("its guest comes") {
    x.mover->listens(std::vector<std::string>{"192.0.2.1:1"});
    x.on.pass(3s);
    CHECK(x.last.inlets_size() == 1);
    x.order.mutable_instances(0)->clear_move();
    x.assign();
    CHECK(x.driver->notes.back() == "arrive vm.0");
    CHECK(x.last.phase() == wire::PHASE_RUNNING);
    CHECK(x.last.inlets_size() == 0);
    // From now on it is one as any other.
    x.driver->end("vm.0");
    x.on.pass(30s);
    CHECK(x.driver->notes.back() == "start vm.0");
  }
  SUBCASE("nobody can come") {
    x.mover->listens(trouble{fault::unspecified, "there is no port left"});
    x.on.pass(3s);
    CHECK(x.last.phase() == wire::PHASE_FAILED);
    CHECK(x.last.reason() == "there is no port left");
    x.on.pass(60s);
    CHECK(x.driver->notes == std::vector<std::string>{"receive vm.0"});
  }
  SUBCASE("its machine ends before") {
    x.driver->end("vm.0");
    x.on.pass(60s);
    CHECK(x.last.phase() == wire::PHASE_FAILED);
    CHECK(x.driver->notes == std::vector<std::string>{"receive vm.0"});
    SUBCASE("and it was decided all the same that it runs here") {
      x.order.mutable_instances(0)->clear_move();
      x.assign();
      CHECK(x.driver->notes.back() == "start vm.0");
    }
  }
}

SCENARIO("what a former life left standing still does not go on before it is known where it runs") {
  auto x = ground{};
  auto left = leftover{.alive = true};
  left.instance.set_name("vm.0");
  left.instance.set_epoch(1);
  left.instance.set_generation(1);
  left.instance.mutable_spec()->mutable_program()->set_image("image");
  left.status.set_phase(wire::PHASE_RUNNING);
  x.driver->found = {left};
  x.driver->leaves = true;
  x.begin();
  x.assign();
  CHECK(x.mover->notes == std::vector<std::string>{"settle vm.0"});
  CHECK(x.last.phase() == wire::PHASE_MIGRATING);
  x.answer(false);
  CHECK(x.last.phase() == wire::PHASE_RUNNING);
}
