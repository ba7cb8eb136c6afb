/// What a node promises about the calls of a function, with lanes that the spec plays.

#include "messages/fault.hpp"
#include "spec/stage.hpp"
#include "spec/workload/staged_agent.hpp"

#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

namespace {

/// An usher that says what the spec wants.
struct played_lane : exec_process {
  std::string heard;
  std::string saying;
  bool over = false;
  std::function<void()> waiter;
  std::size_t room = 1 << 20;

  std::size_t write(std::string_view input) override {
    const auto count = std::min(room, input.size());
    heard += input.substr(0, count);
    return count;
  }
  void end_input() override {}
  void resize(std::uint16_t, std::uint16_t) override {}
  void signal(int) override {}
  output take() override { return {std::exchange(saying, {}), {}, over, 0}; }
  void when_ready(std::function<void()> what) override {
    waiter = std::move(what);
    tell();
  }
  void tell() {
    if (waiter && (!saying.empty() || over))
      std::exchange(waiter, nullptr)();
  }
  void say(const std::string& text) {
    saying += text;
    tell();
  }
  void end() {
    over = true;
    tell();
  }
};

struct function_driver : mortal_driver {
  std::vector<std::shared_ptr<played_lane>> lanes;
  std::vector<int> signals;
  bool broken = false;
  bool slow = false;
  std::vector<then<std::shared_ptr<exec_process>>> opening;

  void serve(const std::string&, then<std::shared_ptr<exec_process>> done) override {
    if (broken)
      return done(trouble{fault::storage, "no more processes"});
    if (slow)
      return opening.push_back(std::move(done));
    done(std::shared_ptr<exec_process>{lanes.emplace_back(std::make_shared<played_lane>())});
  }
  void signal(const std::string& name, int number, then<> done) override {
    signals.push_back(number);
    mortal_driver::signal(name, number, std::move(done));
  }
};

wire::Assign functions(unsigned concurrency, std::uint64_t revision = 1) {
  auto order = wire::Assign{};
  order.set_node("edge-1");
  order.set_revision(revision);
  add(order, "resize.0", "image");
  auto& spec = *order.mutable_instances(0)->mutable_spec();
  spec.set_kind(wire::WORKLOAD_KIND_FUNCTION);
  spec.set_stop_grace_ms(5000);
  spec.mutable_function()->set_concurrency(concurrency);
  spec.mutable_function()->set_timeout_ms(2000);
  return order;
}

/// A node with one instance of a function.
struct play {
  spec::stage on;
  std::shared_ptr<function_driver> driver = std::make_shared<function_driver>();
  agent_actor agent;

  explicit play(unsigned concurrency = 1) {
    agent = spawn_agent(on.system, settings_on(on, std::make_shared<forgetful_disk>()), driver,
                        access_to(std::filesystem::path{"/nowhere"}), {});
    assign(functions(concurrency));
  }
  ~play() { on.audience->send_exit(agent, caf::exit_reason::kill); }
  play(const play&) = delete;
  play& operator=(const play&) = delete;

  void assign(const wire::Assign& order) { REQUIRE(on.ask<wire::Done>(agent, order)); }

  std::shared_ptr<spec::pending<wire::Invoked>> call(const std::string& body, const std::string& instance = "resize.0") {
    auto order = wire::CallInstance{};
    order.set_instance(instance);
    order.set_body(body);
    return on.begin_to_ask<wire::Invoked>(agent, order);
  }
  void say(std::size_t lane, const std::string& text) {
    driver->lanes.at(lane)->say(text);
    on.settle();
  }
};

} // namespace

SCENARIO("an instance of a function has a lane ready before it is called, and keeps it from call to call") {
  auto at = play{};
  REQUIRE(at.driver->lanes.size() == 1);
  at.say(0, "ready 1\n");
  const auto first = at.call("one");
  CHECK(at.driver->lanes[0]->heard == "call 3 2000\none");
  CHECK_FALSE(first->over);
  at.say(0, "answer 5\nfirst");
  CHECK(first->over);
  CHECK(first->answer.body() == "first");
  CHECK(first->answer.instance() == "resize.0");
  CHECK(first->answer.problem().empty());
  const auto second = at.call("two");
  at.say(0, "answer 0\n");
  CHECK(second->over);
  CHECK(at.driver->lanes.size() == 1);
}

SCENARIO("a call that comes before the lane is ready waits for it") {
  auto at = play{};
  const auto one = at.call("early");
  CHECK(at.driver->lanes[0]->heard.empty());
  at.say(0, "ready 1\n");
  CHECK(at.driver->lanes[0]->heard == "call 5 2000\nearly");
  at.say(0, "answer 1\nx");
  CHECK(one->answer.body() == "x");
}

SCENARIO("an instance takes as many calls at a time as its rules say, and no more") {
  auto at = play{2};
  at.say(0, "ready 1\n");
  const auto first = at.call("a");
  const auto second = at.call("b");
  REQUIRE(at.driver->lanes.size() == 2);
  const auto third = at.call("c");
  CHECK(third->over);
  CHECK(third->fault == fault::overloaded);
  at.say(1, "ready 1\nanswer 1\n2");
  CHECK(second->answer.body() == "2");
  const auto fourth = at.call("d");
  at.say(1, "answer 1\n4");
  CHECK(fourth->answer.body() == "4");
  at.say(0, "answer 1\n1");
  CHECK(first->answer.body() == "1");
}

SCENARIO("a handler that fails is an answer with a problem, one that is late a fault") {
  auto at = play{};
  at.say(0, "ready 1\n");
  const auto failed = at.call("a");
  at.say(0, "failed the handler ended with exit code 3\n");
  CHECK(failed->answer.problem() == "the handler ended with exit code 3");
  const auto late = at.call("b");
  at.say(0, "late\n");
  CHECK(late->fault == fault::timeout);
  const auto well = at.call("c");
  at.say(0, "answer 2\nok");
  CHECK(well->answer.body() == "ok");
}

SCENARIO("an usher that does not keep time itself is given up with its lane") {
  auto at = play{};
  at.say(0, "ready 1\n");
  const auto one = at.call("a");
  at.on.pass(4s, 250ms);
  CHECK_FALSE(one->over);
  at.on.pass(2s, 250ms);
  CHECK(one->fault == fault::timeout);
  const auto weak = std::weak_ptr{at.driver->lanes[0]};
  at.driver->lanes[0].reset();
  CHECK(weak.expired());
  const auto two = at.call("b");
  REQUIRE(at.driver->lanes.size() == 2);
  at.say(1, "ready 1\nanswer 1\nz");
  CHECK(two->answer.body() == "z");
}

SCENARIO("the time of an earlier call does not end a later one") {
  auto at = play{};
  at.say(0, "ready 1\n");
  at.call("a");
  at.on.pass(1s, 250ms);
  at.say(0, "answer 1\nx");
  at.on.pass(3s, 250ms);
  const auto two = at.call("b");
  at.on.pass(1500ms, 250ms);
  CHECK_FALSE(two->over);
  at.say(0, "answer 1\ny");
  CHECK(two->answer.body() == "y");
}

SCENARIO("what ends with a call in it says so, and what had not begun one leaves it to others") {
  auto at = play{};
  const auto early = at.call("a");
  at.driver->lanes[0]->end();
  at.on.settle();
  CHECK(early->fault == fault::conflict);
  const auto begun = at.call("b");
  at.say(1, "ready 1\n");
  at.driver->lanes[1]->end();
  at.on.settle();
  CHECK(begun->over);
  CHECK(begun->fault == fault::unspecified);
  CHECK(begun->answer.problem() == "what takes calls inside has ended");
  at.driver->broken = true;
  const auto none = at.call("c");
  CHECK(none->fault == fault::conflict);
  CHECK(none->why.find("no more processes") != none->why.npos);
}

SCENARIO("a lane that speaks out of turn is closed") {
  for (const auto* text : {"ready 1\nready 1\n", "ready 1\nanswer 1\nx", "hello\n", "ready 1\nlate\n"}) {
    CAPTURE(text);
    auto at = play{};
    at.say(0, text);
    at.call("a");
    CHECK(at.driver->lanes.size() == 2);
  }
}

SCENARIO("the container's end ends the calls in it") {
  auto at = play{};
  at.say(0, "ready 1\n");
  const auto one = at.call("a");
  at.driver->end("resize.0");
  at.on.settle();
  CHECK(one->over);
  CHECK(one->answer.problem().starts_with("the instance has ended"));
}

SCENARIO("an instance that shall go ends when its calls have, and at the end of its grace in any case") {
  auto nothing = wire::Assign{};
  nothing.set_node("edge-1");
  nothing.set_revision(2);
  SUBCASE("when its calls have") {
    auto at = play{};
    at.say(0, "ready 1\n");
    const auto one = at.call("a");
    at.assign(nothing);
    at.on.pass(1s, 250ms);
    CHECK(at.driver->signals.empty());
    const auto two = at.call("b");
    CHECK(two->fault == fault::conflict);
    at.say(0, "answer 1\nx");
    CHECK(one->answer.body() == "x");
    CHECK(at.driver->signals == std::vector{SIGTERM});
  }
  SUBCASE("at the end of its grace") {
    auto at = play{};
    at.say(0, "ready 1\n");
    const auto one = at.call("a");
    at.say(0, "");
    at.assign(nothing);
    at.on.pass(1s, 250ms);
    CHECK(at.driver->signals.empty());
    at.on.pass(5s, 250ms);
    CHECK(one->over);
    CHECK_FALSE(at.driver->signals.empty());
  }
  SUBCASE("at once without calls") {
    auto at = play{};
    at.say(0, "ready 1\n");
    at.assign(nothing);
    at.on.settle();
    CHECK(at.driver->signals == std::vector{SIGTERM});
  }
}

SCENARIO("what is no function, does not run or is too much is not called") {
  auto at = play{};
  CHECK(at.call("x", "nobody.0")->fault == fault::not_found);
  at.say(0, "ready 1\n");
  CHECK(at.call(std::string((512 << 10) + 1, 'x'))->fault == fault::bad_request);
  auto other = functions(1, 2);
  add(other, "web.0", "image");
  at.assign(other);
  CHECK(at.call("x", "web.0")->fault == fault::bad_request);
}

SCENARIO("a body that the usher does not take at once is given to it bit by bit") {
  auto at = play{};
  at.say(0, "ready 1\n");
  at.driver->lanes[0]->room = 5;
  at.call("0123456789");
  CHECK(at.driver->lanes[0]->heard == "call ");
  at.on.pass(20ms, 1ms);
  CHECK(at.driver->lanes[0]->heard == "call 10 2000\n0123456789");
}
