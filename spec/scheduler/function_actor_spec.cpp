/// What calls of functions are promised, with a scheduler, a ledger and nodes that the spec plays.

#include "actors/scheduler/function_actor.hpp"

#include "spec/scheduler/fake_ledger.hpp"
#include "spec/stage.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

/// What the played scheduler and the played nodes keep.
struct fabric {
  std::vector<wire::ScaleFunction> scaled;
  wire::WorkloadView view;
  bool scheduler_refuses = false;
  std::uint64_t number = 0;
  std::vector<wire::Event> news;
  std::optional<caf::typed_response_promise<wire::Events>> reader;
  /// Calls that nodes have been given: the instance, the body, and the way back.
  struct given {
    std::string instance;
    std::string body;
    caf::response_promise promise;
  };
  std::vector<given> calls;
  std::set<std::string> unreachable;
  /// What a played actor is to do at its next tick: only it may answer what it was asked.
  std::function<void()> work;
};

caf::behavior played_scheduler(caf::event_based_actor* self, fabric* all) {
  return {
      [=](const wire::ScaleFunction& x) -> caf::result<wire::Done> {
        if (all->scheduler_refuses)
          return caf::make_error(fault::overloaded, "busy");
        all->scaled.push_back(x);
        return wire::Done{};
      },
      [=](const wire::WorkloadListRequest& x) -> caf::result<wire::WorkloadList> {
        auto list = wire::WorkloadList{};
        if (x.name() != all->view.record().spec().name())
          return caf::make_error(fault::not_found, "there is no workload called " + x.name());
        *list.add_workloads() = all->view;
        return list;
      },
      [=](const wire::EventsRequest& x) -> caf::result<wire::Events> {
        auto events = wire::Events{};
        events.set_next(all->number);
        for (const auto& each : all->news)
          if (each.number() > x.after())
            *events.add_events() = each;
        if (events.events_size() > 0)
          return events;
        all->reader = self->make_response_promise<wire::Events>();
        return *all->reader;
      },
      [=](caf::tick_atom) { all->work(); },
  };
}

caf::behavior played_agent(caf::event_based_actor* self, fabric* all) {
  return {
      [=](const wire::CallInstance& x) {
        auto promise = self->make_response_promise();
        all->calls.push_back({x.instance(), x.body(), promise});
        return promise;
      },
      [=](caf::tick_atom) { all->work(); },
  };
}

/// A fabric with the function "resize", and a controller that leads.
struct play {
  spec::stage on;
  fabric all;
  spec::ledger_book book;
  caf::actor scheduler = on.system.spawn(played_scheduler, &all);
  caf::actor agent = on.system.spawn(played_agent, &all);
  function_actor functions;

  explicit play(unsigned concurrency = 1, unsigned instances_max = 10, bool known = true) {
    auto& spec = *all.view.mutable_record()->mutable_spec();
    spec.set_name("resize");
    spec.set_kind(wire::WORKLOAD_KIND_FUNCTION);
    spec.mutable_program()->set_image("image:1");
    spec.mutable_function()->set_concurrency(concurrency);
    spec.mutable_function()->set_instances_max(instances_max);
    spec.mutable_function()->set_waiting_max(3);
    spec.mutable_function()->set_timeout_ms(2000);
    spec.mutable_function()->set_keep_alive_ms(60'000);
    book.leader = "cloud-1";
    if (known)
      write();
    const auto ledger = on.system.spawn(spec::fake_ledger, &book, "cloud-1");
    functions = spawn_functions(
        on.system, {}, ledger, caf::actor_cast<scheduler_actor>(scheduler),
        [this](const std::string& node) { return all.unreachable.contains(node) ? caf::actor{} : agent; });
    on.settle();
    book.lead("cloud-1");
    on.settle();
  }
  ~play() {
    for (const auto& each : {caf::actor_cast<caf::actor>(functions), scheduler, agent})
      on.audience->send_exit(each, caf::exit_reason::kill);
    all.calls.clear();
    all.reader.reset();
  }
  play(const play&) = delete;
  play& operator=(const play&) = delete;

  /// Puts the record into the ledger, and tells who watches.
  void write() {
    auto command = wire::LedgerCommand{};
    command.set_client("spec");
    auto& op = *command.add_ops();
    op.set_key("workload/resize");
    op.set_value(all.view.record().SerializeAsString());
    command.set_sequence(book.answered["spec"].first + 1);
    auto result = wire::LedgerApplied{};
    const auto change = book.apply(command, &result);
    for (const auto& [name, watcher] : book.watcher_of)
      caf::anon_send(watcher, change);
    on.settle();
  }

  /// Has a played actor do something now.
  void within(const caf::actor& who, std::function<void()> work) {
    all.work = std::move(work);
    caf::anon_send(who, caf::tick_atom_v);
    on.settle();
  }

  /// An instance is as the scheduler says, from now on.
  void instance(unsigned ordinal, wire::Phase phase, const std::string& node = "edge-1", std::uint64_t epoch = 1) {
    const auto name = "resize." + std::to_string(ordinal);
    auto& list = *all.view.mutable_instances();
    auto found = std::ranges::find(list, name, [](const auto& x) { return x.name(); });
    auto& one = found == list.end() ? *list.Add() : *found;
    one.set_name(name);
    one.set_phase(phase);
    one.set_node(node);
    one.set_epoch(epoch);
    happens("instance", name, "changed");
  }
  void happens(const std::string& noun, const std::string& name, const std::string& verb) {
    auto event = wire::Event{};
    event.set_number(++all.number);
    event.set_noun(noun);
    event.set_name(name);
    event.set_verb(verb);
    all.news.push_back(event);
    if (all.reader) {
      auto events = wire::Events{};
      events.set_next(all.number);
      *events.add_events() = event;
      within(scheduler, [&] { std::exchange(all.reader, std::nullopt)->deliver(events); });
    }
    on.settle();
  }

  std::shared_ptr<spec::pending<wire::Invoked>> invoke(const std::string& body, const std::string& name = "resize") {
    auto order = wire::Invoke{};
    order.set_function(name);
    order.set_body(body);
    return on.begin_to_ask<wire::Invoked>(functions, order);
  }
  /// The oldest call that a node has been given is over.
  void answer(const std::string& body) {
    REQUIRE_FALSE(all.calls.empty());
    auto x = wire::Invoked{};
    x.set_instance(all.calls.front().instance);
    x.set_body(body);
    within(agent, [&] { all.calls.front().promise.deliver(x); });
    all.calls.erase(all.calls.begin());
    on.settle();
  }
  void refuse(fault why) { refuse(caf::make_error(why, "said the spec")); }
  void refuse(caf::error why) {
    REQUIRE_FALSE(all.calls.empty());
    within(agent, [&] { all.calls.front().promise.deliver(why); });
    all.calls.erase(all.calls.begin());
    on.settle();
  }
  wire::FunctionView view() {
    auto list = on.ask<wire::FunctionList>(functions, wire::FunctionListRequest{});
    REQUIRE(list);
    REQUIRE(list->functions_size() == 1);
    return list->functions(0);
  }
  unsigned scaled_to() const { return all.scaled.empty() ? 0 : all.scaled.back().instances(); }
};

} // namespace

SCENARIO("the first call of a function has an instance started, and is answered as soon as that is there") {
  auto at = play{};
  CHECK(at.all.scaled.empty());
  const auto call = at.invoke("hello");
  REQUIRE(at.all.scaled.size() == 1);
  CHECK(at.all.scaled[0].name() == "resize");
  CHECK(at.all.scaled[0].instances() == 1);
  at.on.pass(1s);
  at.instance(0, wire::PHASE_STARTING);
  CHECK(at.all.calls.empty());
  at.instance(0, wire::PHASE_RUNNING);
  REQUIRE(at.all.calls.size() == 1);
  CHECK(at.all.calls[0].instance == "resize.0");
  CHECK(at.all.calls[0].body == "hello");
  at.answer("small");
  CHECK(call->answer.body() == "small");
  CHECK(call->answer.cold());
  CHECK(call->answer.waited_usec() >= 1'000'000);
  const auto again = at.invoke("hello");
  at.answer("small");
  CHECK_FALSE(again->answer.cold());
  CHECK(again->answer.waited_usec() == 0);
  CHECK(at.view().answered() == 2);
  CHECK(at.view().cold() == 1);
}

SCENARIO("when nobody calls any more the instances go, to none") {
  auto at = play{};
  at.invoke("a");
  at.invoke("b");
  CHECK(at.scaled_to() == 2);
  at.instance(0, wire::PHASE_RUNNING);
  at.instance(1, wire::PHASE_RUNNING);
  at.answer("");
  at.answer("");
  at.on.pass(59s);
  CHECK(at.scaled_to() == 2);
  at.on.pass(2s);
  CHECK(at.scaled_to() == 0);
  CHECK(at.all.scaled.size() > 1);
}

SCENARIO("calls beyond what instances take wait, and beyond what may wait are refused") {
  auto at = play{2, 1};
  at.invoke("first");
  at.instance(0, wire::PHASE_RUNNING);
  for (auto i = 0; i < 4; ++i)
    at.invoke("more");
  CHECK(at.all.calls.size() == 2);
  CHECK(at.view().waiting() == 3);
  const auto refused = at.invoke("too many");
  CHECK(refused->fault == fault::overloaded);
  CHECK(at.scaled_to() == 1);
  at.answer("");
  CHECK(at.all.calls.size() == 2);
  CHECK(at.view().waiting() == 2);
  CHECK(at.view().refused() == 1);
}

SCENARIO("a call that an instance did not begin goes to another, one that nobody knows of does not") {
  auto at = play{};
  at.instance(0, wire::PHASE_RUNNING);
  const auto one = at.invoke("a");
  at.invoke("b");
  REQUIRE(at.all.calls.size() == 1);
  at.instance(1, wire::PHASE_RUNNING, "edge-2");
  CHECK(at.all.calls.size() == 2);
  at.answer("done");
  CHECK(one->answer.body() == "done");
  SUBCASE("not begun") {
    const auto two = at.invoke("c");
    REQUIRE(at.all.calls.size() == 2);
    CHECK(at.all.calls[1].instance == "resize.0");
    std::swap(at.all.calls[0], at.all.calls[1]);
    at.refuse(fault::conflict);
    CHECK_FALSE(two->over);
    at.on.pass(100ms, 10ms);
    REQUIRE(at.all.calls.size() == 2);
    CHECK(at.all.calls[1].body == "c");
  }
  SUBCASE("its node has just begun to run again") {
    const auto two = at.invoke("c");
    std::swap(at.all.calls[0], at.all.calls[1]);
    at.refuse(fault::unavailable);
    CHECK_FALSE(two->over);
    at.on.pass(100ms, 10ms);
    CHECK(at.all.calls.size() == 2);
  }
  SUBCASE("it was lost with who had it") {
    const auto two = at.invoke("c");
    std::swap(at.all.calls[0], at.all.calls[1]);
    at.refuse(caf::make_error(caf::sec::request_receiver_down));
    CHECK(two->over);
  }
  SUBCASE("nobody knows") {
    const auto two = at.invoke("c");
    std::swap(at.all.calls[0], at.all.calls[1]);
    at.refuse(fault::unreachable);
    CHECK(two->fault == fault::unreachable);
    at.on.pass(1s, 100ms);
    CHECK(at.all.calls.size() == 1);
    CHECK(at.view().failed() == 1);
  }
}

SCENARIO("nothing goes to a node that has left") {
  auto at = play{};
  at.instance(0, wire::PHASE_RUNNING, "edge-1");
  at.happens("node", "edge-1", "departed");
  const auto one = at.invoke("a");
  CHECK(at.all.calls.empty());
  at.happens("node", "edge-1", "arrived");
  CHECK(at.all.calls.size() == 1);
  at.answer("x");
  CHECK(one->answer.body() == "x");
  // Its link is about to be noticed.
  at.all.unreachable.insert("edge-1");
  const auto two = at.invoke("b");
  at.on.pass(200ms, 10ms);
  CHECK_FALSE(two->over);
  at.all.unreachable.clear();
  at.on.pass(200ms, 10ms);
  CHECK(at.all.calls.size() == 1);
}

SCENARIO("a call waits for half a minute, and then hears why") {
  auto at = play{};
  at.all.view.set_reason("1 node: 1 lacks memory");
  at.happens("instance", "resize.0", "waiting");
  const auto one = at.invoke("a");
  at.on.pass(29s);
  CHECK_FALSE(one->over);
  at.on.pass(2s);
  CHECK(one->fault == fault::timeout);
  CHECK(one->why.find("1 lacks memory") != one->why.npos);
}

SCENARIO("who does not lead says so, and who leads no more leaves no call without an answer") {
  auto at = play{};
  const auto waiting = at.invoke("a");
  at.instance(0, wire::PHASE_RUNNING);
  const auto second = at.invoke("b");
  REQUIRE(at.all.calls.size() == 1);
  at.book.lead("cloud-2");
  at.on.settle();
  CHECK(waiting->fault == fault::unreachable);
  CHECK(second->fault == fault::not_leader);
  CHECK(at.invoke("c")->fault == fault::not_leader);
  CHECK_FALSE(at.on.ask<wire::FunctionList>(at.functions, wire::FunctionListRequest{}));
  // A late answer changes nothing.
  at.answer("late");
  at.book.lead("cloud-1");
  at.on.settle();
  const auto again = at.invoke("d");
  REQUIRE(at.all.calls.size() == 1);
  at.answer("well");
  CHECK(again->answer.body() == "well");
}

SCENARIO("a leader keeps what it finds as long as if it had been needed just now") {
  auto at = play{};
  at.all.view.mutable_record()->mutable_spec()->set_replicas(4);
  at.book.lead("cloud-2");
  at.write();
  at.book.lead("cloud-1");
  at.on.settle();
  at.on.pass(59s);
  CHECK(at.all.scaled.empty());
  at.on.pass(2s);
  REQUIRE_FALSE(at.all.scaled.empty());
  CHECK(at.scaled_to() == 0);
}

SCENARIO("an order for another number that fails is given again") {
  auto at = play{};
  at.all.scheduler_refuses = true;
  at.invoke("a");
  at.on.pass(2s, 100ms);
  CHECK(at.all.scaled.empty());
  at.all.scheduler_refuses = false;
  at.on.pass(1s, 100ms);
  CHECK(at.scaled_to() == 1);
}

SCENARIO("what is no function, is stopped, deleted or too large is not called") {
  auto at = play{};
  CHECK(at.invoke("a", "nobody")->fault == fault::not_found);
  CHECK(at.invoke(std::string((512 << 10) + 1, 'x'))->fault == fault::bad_request);
  const auto waiting = at.invoke("a");
  at.all.view.mutable_record()->set_stopped(true);
  at.write();
  CHECK(at.invoke("b")->fault == fault::conflict);
  CHECK(at.view().state() == "stopped");
  at.all.view.mutable_record()->set_stopped(false);
  at.all.view.mutable_record()->mutable_spec()->set_kind(wire::WORKLOAD_KIND_CONTAINER);
  at.write();
  CHECK(waiting->fault == fault::not_found);
  CHECK(at.invoke("c")->fault == fault::bad_request);
}

SCENARIO("a function is called as soon as it was submitted, before the news of it") {
  auto at = play{1, 10, false};
  CHECK(at.on.ask<wire::FunctionList>(at.functions, wire::FunctionListRequest{})->functions_size() == 0);
  const auto one = at.invoke("a");
  CHECK_FALSE(one->over);
  at.instance(0, wire::PHASE_RUNNING);
  REQUIRE(at.all.calls.size() == 1);
  at.answer("x");
  CHECK(one->answer.body() == "x");
}

SCENARIO("an instance that was started anew is a cold start again") {
  auto at = play{};
  at.instance(0, wire::PHASE_RUNNING);
  at.on.pass(1s);
  const auto warm = at.invoke("a");
  at.answer("");
  CHECK_FALSE(warm->answer.cold());
  at.instance(0, wire::PHASE_STARTING, "edge-1", 2);
  const auto cold = at.invoke("b");
  at.on.pass(1s);
  at.instance(0, wire::PHASE_RUNNING, "edge-1", 2);
  at.answer("");
  CHECK(cold->answer.cold());
}
