/// What a node promises about functions in real containers.

#include "spec/reality/container_kit.hpp"

#include "actors/host/files.hpp"

#include <caf/event_based_actor.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;

namespace {

/// An instance of a function whose handler is `script`.
wire::Instance function(const std::string& name, const std::string& script, const std::string& mode = "each") {
  auto x = instance(name, script);
  x.mutable_spec()->set_kind(wire::WORKLOAD_KIND_FUNCTION);
  auto& rules = *x.mutable_spec()->mutable_function();
  rules.set_handler(mode);
  rules.set_concurrency(1);
  rules.set_timeout_ms(5000);
  return x;
}

wire::CallInstance call_of(const std::string& name, const std::string& body) {
  auto x = wire::CallInstance{};
  x.set_instance(name);
  x.set_body(body);
  return x;
}

wire::Invoked call(site& here, const std::string& name, const std::string& body = {}) {
  return here.ask<wire::Invoked>(call_of(name, body));
}

fault fault_of(site& here, const std::string& name, const std::string& body = {}) {
  auto found = fault::unspecified;
  (*here.self)
      ->request(here.agent, std::chrono::seconds{30}, call_of(name, body))
      .receive([&](const wire::Invoked& x) { FAIL_CHECK("answered: " << x.ShortDebugString()); },
               [&](const caf::error& e) { found = explain(e).kind; });
  return found;
}

/// A call whose answer is looked at later.
struct pending {
  std::atomic<bool> over = false;
  wire::Invoked answer;
};
std::shared_ptr<pending> begin_call(site& here, const std::string& name, const std::string& body) {
  auto one = std::make_shared<pending>();
  here.system->spawn([one, agent = here.agent, order = call_of(name, body)](caf::event_based_actor* self) {
    self->request(caf::actor_cast<caf::actor>(agent), 30s, order)
        .then(
            [=](const wire::Invoked& x) {
              one->answer = x;
              one->over = true;
            },
            [=](caf::error& e) {
              one->answer.set_problem(explain(e).text);
              one->over = true;
            });
  });
  return one;
}

} // namespace

SCENARIO("a function answers calls with what its handler says, in the container it was given") {
  if (!can_run())
    return;
  auto here = site{};
  auto one = function("echo.0", "echo $COLOUR $NOVACRON_INSTANCE $(hostname) $(id -u); echo to the log >&2; cat");
  (*one.mutable_spec()->mutable_program()->mutable_env())["COLOUR"] = "green";
  one.mutable_spec()->mutable_program()->set_user("1000");
  here.assign({one});
  here.await("echo.0", wire::PHASE_RUNNING);
  for (auto i = 0; i < 3; ++i) {
    const auto answer = call(here, "echo.0", "hello\n");
    CHECK(answer.problem().empty());
    CHECK(answer.body() == "green echo.0 echo.0 1000\nhello\n");
  }
  CHECK(eventually([&] { return here.log("echo.0") == "to the log\nto the log\nto the log\n"; }));
  // With what the handler says first.
  const auto most = std::string((512 << 10) - 100, 'x');
  CHECK(call(here, "echo.0", most).body().ends_with(most));
}

SCENARIO("a handler that fails is followed by one that does not, and a function without one does not start") {
  if (!can_run())
    return;
  auto here = site{};
  auto none = function("none.0", "");
  none.mutable_spec()->mutable_program()->clear_command();
  auto greedy =
      function("greedy.0", "read x; [ $x = good ] && exec echo fine; exec dd if=/dev/zero of=/dev/null bs=64M count=1");
  greedy.mutable_spec()->mutable_resources()->set_memory_bytes(24 << 20);
  here.assign({function("bad.0", "read x; exit $x"), none, greedy});
  here.await("bad.0", wire::PHASE_RUNNING);
  CHECK(call(here, "bad.0", "3\n").problem() == "the handler ended with exit code 3");
  CHECK(call(here, "bad.0", "0\n").problem().empty());
  here.await("none.0", wire::PHASE_FAILED);
  here.await("greedy.0", wire::PHASE_RUNNING);
  CHECK_FALSE(call(here, "greedy.0", "bad\n").problem().empty());
  // The kernel may have chosen the whole container; then it starts again.
  here.await("greedy.0", wire::PHASE_RUNNING);
  CHECK(eventually([&] {
    const auto again = begin_call(here, "greedy.0", "good\n");
    return eventually([&] { return again->over.load(); }, 10s) && again->answer.body() == "fine\n";
  }));
}

SCENARIO("a handler whose time is over leaves nothing running") {
  if (!can_run())
    return;
  auto here = site{};
  auto slow = function("slow.0", "read x; [ $x = good ] && exec echo fine; sleep 1000 & sleep 1000");
  slow.mutable_spec()->mutable_function()->set_timeout_ms(300);
  here.assign({slow});
  here.await("slow.0", wire::PHASE_RUNNING);
  CHECK(call(here, "slow.0", "good\n").body() == "fine\n");
  const auto quiet = members(here.place.data(), "slow.0");
  CHECK(fault_of(here, "slow.0", "bad\n") == fault::timeout);
  CHECK(eventually([&] { return members(here.place.data(), "slow.0") == quiet; }));
  CHECK(call(here, "slow.0", "good\n").body() == "fine\n");
}

SCENARIO("an instance takes as many calls at once as it may") {
  if (!can_run())
    return;
  auto here = site{};
  auto wide = function("wide.0", "sleep 1; cat");
  wide.mutable_spec()->mutable_function()->set_concurrency(3);
  here.assign({wide});
  here.await("wide.0", wire::PHASE_RUNNING);
  const auto begin = std::chrono::steady_clock::now();
  auto calls = std::vector<std::shared_ptr<pending>>{};
  for (auto i = 0; i < 3; ++i)
    calls.push_back(begin_call(here, "wide.0", std::to_string(i)));
  std::this_thread::sleep_for(200ms);
  CHECK(fault_of(here, "wide.0") == fault::overloaded);
  CHECK(eventually([&] { return std::ranges::all_of(calls, [](const auto& x) { return x->over.load(); }); }));
  for (auto i = 0; i < 3; ++i)
    CHECK(calls[static_cast<std::size_t>(i)]->answer.body() == std::to_string(i));
  CHECK(std::chrono::steady_clock::now() - begin < 2900ms);
}

SCENARIO("a stream of calls goes to one handler") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({function(
      "flow.0", "c=0; while read n; do b=$(head -c $n); c=$((c+1)); a=\"$c $b\"; printf '%d\\n%s' ${#a} \"$a\"; done",
      "stream")});
  here.await("flow.0", wire::PHASE_RUNNING);
  CHECK(call(here, "flow.0", "one").body() == "1 one");
  CHECK(call(here, "flow.0", "two").body() == "2 two");
}

SCENARIO("a new agent takes a function over with new lanes, and the old ones are gone") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({function("kept.0", "cat")});
  here.await("kept.0", wire::PHASE_RUNNING);
  CHECK(call(here, "kept.0", "before").body() == "before");
  const auto begun = begin_call(here, "kept.0", "x");
  here.end();
  // Only its first process is left.
  CHECK(eventually([&] { return members(here.place.data(), "kept.0") == 1; }));
  here.begin();
  here.await("kept.0", wire::PHASE_RUNNING);
  CHECK(call(here, "kept.0", "after").body() == "after");
  CHECK(here.status("kept.0").restarts() == 0);
}

SCENARIO("an instance that shall go answers the call that it has") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({function("last.0", "sleep 1; cat")});
  here.await("last.0", wire::PHASE_RUNNING);
  const auto one = begin_call(here, "last.0", "well");
  std::this_thread::sleep_for(300ms);
  here.assign({});
  CHECK(eventually([&] { return one->over.load(); }));
  CHECK(one->answer.body() == "well");
}

SCENARIO("a handler cannot put another program in the usher's place") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({function("foe.0", "(echo bad >/.novacron/usher) 2>/dev/null; rm -f /.novacron/usher 2>/dev/null; "
                                 "touch /.novacron/usher 2>/dev/null; echo done")});
  here.await("foe.0", wire::PHASE_RUNNING);
  const auto file = here.place.data() / "agent" / "usher";
  const auto before = host::read_file(file);
  CHECK(call(here, "foe.0").body() == "done\n");
  CHECK(call(here, "foe.0").body() == "done\n");
  CHECK(host::read_file(file) == before);
}
