#include "actors/node/supervisor_actor.hpp"

#include "actors/host/log.hpp"
#include "actors/node/pulse.hpp"
#include "spec/stage.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

/// Fails when it is told to stop, lives otherwise.
caf::behavior fragile(caf::event_based_actor* self) {
  return {[](const wire::HealthRequest&) {
            auto x = wire::Health{};
            x.set_live(true);
            return x;
          },
          [=](const wire::Shutdown&) { self->quit(caf::exit_reason::unhandled_exception); }};
}

struct house {
  spec::stage stage;
  node::directory names{stage.system, "node-1"};
  std::map<std::string, int> starts;
  caf::actor supervisor;

  node::room room(const std::string& title, const std::string& needs = {}) {
    return {title,
            [this, title] {
              ++starts[title];
              return stage.system.spawn(fragile);
            },
            needs};
  }

  void begin(std::vector<node::room> rooms, node::intensity_config limits = {}) {
    supervisor = node::spawn_supervisor(stage.system, names, std::move(rooms), limits);
    stage.settle();
  }

  void fail(const std::string& title) {
    stage.audience->send(node::handle_of(*names.open(title)), wire::Shutdown{});
    stage.settle();
  }

  bool answers(const std::string& title) {
    return static_cast<bool>(stage.ask<wire::Health>(node::handle_of(*names.open(title)), wire::HealthRequest{}));
  }

  house() { host::set_log_sink([](std::string_view) {}); }
  ~house() {
    stage.audience->send_exit(supervisor, caf::exit_reason::user_shutdown);
    stage.settle();
    host::set_log_sink({});
  }
};

} // namespace

SCENARIO("a room that fails is started again, and the others do not notice") {
  auto x = house{};
  x.begin({x.room("agent"), x.room("images")});
  x.fail("agent");
  CHECK_FALSE(x.answers("agent"));
  CHECK(x.answers("images"));
  CHECK(x.names.open("agent")->described().state == "restarting");
  x.stage.pass(100ms, 10ms);
  CHECK(x.answers("agent"));
  CHECK(x.starts == std::map<std::string, int>{{"agent", 2}, {"images", 1}});
  CHECK(x.names.open("agent")->described().restarts == 1);
  CHECK_FALSE(x.names.open("agent")->described().last_failure.empty());
}

SCENARIO("what needs a room ends and starts with it") {
  auto x = house{};
  x.begin({x.room("ledger"), x.room("scheduler", "ledger"), x.room("images")});
  x.fail("ledger");
  x.stage.pass(200ms, 10ms);
  CHECK(x.answers("scheduler"));
  CHECK(x.starts == std::map<std::string, int>{{"ledger", 2}, {"scheduler", 2}, {"images", 1}});
}

SCENARIO("a room that fails again and again rests before it is tried again") {
  auto x = house{};
  x.begin({x.room("agent")}, {.limit = 3, .window = 10s, .pause = 50ms, .rest = 30s});
  for (auto i = 0; i < 2; ++i) {
    x.fail("agent");
    x.stage.pass(100ms, 10ms);
    CHECK(x.answers("agent"));
  }
  x.fail("agent");
  CHECK(x.names.open("agent")->described().state == "failed");
  x.stage.pass(29s);
  CHECK_FALSE(x.answers("agent"));
  x.stage.pass(1s);
  CHECK(x.answers("agent"));
}

SCENARIO("failures count only within their window") {
  const auto dawn = instant{};
  auto count = node::intensity{{.limit = 3, .window = 10s, .pause = 1s, .rest = 60s}};
  CHECK(count.failed(dawn) == 1s);
  CHECK(count.failed(dawn + 10s) == 1s);
  THEN("the third within the window exhausts it") {
    CHECK(count.failed(dawn + 10s) == 60s);
    CHECK(count.exhausted());
  }
  THEN("a third after it does not") {
    CHECK(count.failed(dawn + 10s + 1ns) == 1s);
    CHECK_FALSE(count.exhausted());
  }
}

SCENARIO("pauses between attempts double up to a limit, with jitter") {
  auto chance = std::mt19937_64{1};
  auto pauses = node::backoff{{.pause = 100ms, .pause_max = 1s}};
  for (auto ceiling : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    const auto pause = pauses.next(chance);
    CHECK(pause <= ceiling);
    CHECK(pause >= ceiling / 10);
  }
  for (auto i = 0; i < 100; ++i)
    CHECK(pauses.next(chance) <= 1s);
  pauses.succeeded();
  CHECK(pauses.next(chance) <= 100ms);
}
