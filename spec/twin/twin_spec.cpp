#include "spec/twin/two_hosts.hpp"

#include <caf/all.hpp>
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

using namespace twin;
using namespace std::chrono_literals;

namespace {

using words = std::vector<std::string>;
using hosts = std::unique_ptr<two_hosts> (*)();

/// Lets something happen, and waits until something is told of it.
void expect_more(two_hosts& in, const std::function<void()>& act) {
  const auto before = in.told->size();
  act();
  in.wait([&] { return in.told->size() > before; });
}

void ask_now(two_hosts& in, const caf::actor& from, const caf::actor& whom, std::chrono::seconds patience) {
  let(from, [=, told = in.told](caf::event_based_actor* self) {
    self->request(whom, patience, beat(1))
        .then(
            [=](const novacron::wire::Beat& x) { told->say("answer " + std::to_string(x.number())); },
            [=](const caf::error& x) { told->say(x == caf::sec::request_timeout ? "no answer" : "an error at once"); });
  });
}

void ask(two_hosts& in, const caf::actor& from, const caf::actor& whom, std::chrono::seconds patience = 4s) {
  expect_more(in, [&] { ask_now(in, from, whom, patience); });
}

void watch(const caf::actor& from, const caf::actor& whom) {
  let(from, [=](caf::event_based_actor* self) { self->monitor(whom); });
}

/// A request, a handle inside a message, and the end of the other actor.
words acquaintance(two_hosts& in) {
  const auto here = in.near_one();
  const auto far = in.connect();
  if (!far)
    return {"no connection"};
  ask(in, here, *far);
  expect_more(in, [&] {
    let(here, [=](caf::event_based_actor* self) { self->send(*far, beat(3), caf::actor_cast<caf::actor>(self)); });
  });
  watch(here, *far);
  ask(in, here, *far);
  expect_more(in,
              [&] { let(here, [=](caf::event_based_actor* self) { self->send(*far, novacron::wire::Shutdown{}); }); });
  ask(in, here, *far);
  return in.told->words();
}

/// The other process is killed, and another one takes its place.
words sudden_end(two_hosts& in) {
  const auto here = in.near_one();
  const auto far = in.connect();
  if (!far)
    return {"no connection"};
  watch(here, *far);
  ask(in, here, *far);
  expect_more(in, [&] { in.kill_other(); });
  ask(in, here, *far);
  in.told->say(in.connect() ? "connected" : "cannot connect");
  in.start_other();
  const auto again = in.connect();
  in.told->say(again ? "connected" : "cannot connect");
  if (again)
    ask(in, here, *again);
  // The handle to the one that was killed leads nowhere, now and ever, and says nothing about it.
  ask(in, here, *far);
  return in.told->words();
}

/// The way is cut for less time than it takes to give the connection up.
words short_cut(two_hosts& in) {
  const auto here = in.near_one();
  const auto far = in.connect();
  if (!far)
    return {"no connection"};
  watch(here, *far);
  ask(in, here, *far);
  in.cut();
  expect_more(in, [&] { ask_now(in, here, *far, 1s); });
  ask_now(in, here, *far, 8s);
  in.pass(500ms);
  // What was asked meanwhile arrives.
  expect_more(in, [&] { in.heal(); });
  ask(in, here, *far);
  return in.told->words();
}

/// The way is cut for longer than that.
words long_cut(two_hosts& in) {
  const auto here = in.near_one();
  const auto far = in.connect();
  if (!far)
    return {"no connection"};
  watch(here, *far);
  ask(in, here, *far);
  in.cut();
  in.pass(8s);
  // Before the way is there again.
  in.told->say("now");
  in.heal();
  in.pass(2s);
  ask(in, here, *far);
  const auto again = in.connect();
  in.told->say(again ? "connected" : "cannot connect");
  if (again)
    ask(in, here, *again);
  return in.told->words();
}

struct tale {
  words (*play)(two_hosts& in);
  words expected;
  bool needs_time = false;
};

} // namespace

SCENARIO(
    "a story of two hosts ends the same in the virtual world, on real BASP without a network, and between processes") {
  const auto tales = std::map<std::string, tale>{
      {"acquaintance", {acquaintance, {"answer 2", "told 30", "answer 2", "it ended", "no answer"}}},
      {"sudden end",
       {sudden_end,
        {"answer 2", "its host is gone", "no answer", "cannot connect", "connected", "answer 2", "no answer"}}},
      {"short cut", {short_cut, {"answer 2", "no answer", "answer 2", "answer 2"}, true}},
      {"long cut", {long_cut, {"answer 2", "its host is gone", "now", "no answer", "connected", "answer 2"}, true}},
  };
  const auto forms = std::map<std::string, hosts>{{"virtual world", in_the_virtual_world},
                                                  {"processes", as_processes},
                                                  {"test multiplexer", on_the_test_multiplexer}};
  for (const auto& [title, x] : tales)
    for (const auto& [form, make] : forms) {
      CAPTURE(title);
      CAPTURE(form);
      const auto in = make();
      if (x.needs_time && !in->has_time())
        continue;
      CHECK(fmt::format("{}", fmt::join(x.play(*in), ", ")) == fmt::format("{}", fmt::join(x.expected, ", ")));
    }
}
