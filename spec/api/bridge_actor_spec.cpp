#include "actors/api/bridge_actor.hpp"

#include <caf/all.hpp>
#include <doctest/doctest.h>

#include <thread>

namespace {
using namespace novacron;
using namespace novacron::api;
using namespace std::chrono_literals;

struct language : caf::actor_system_config {
  language() { add_language(*this); }
};

/// Real threads, because that is what the bridge is for.
struct stage {
  language settings;
  caf::actor_system system{settings};
  std::map<std::string, caf::actor, std::less<>> actors;
  bridge way{system, [this](std::string_view path) -> caf::expected<caf::actor> {
               const auto at = actors.find(path);
               if (at == actors.end())
                 return caf::make_error(fault::unreachable, std::string{path} + " is away");
               return at->second;
             }};

  ~stage() {
    for (auto& [path, x] : actors)
      caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
  }
  auto ask(std::vector<std::string> paths, milliseconds patience = 5s) {
    return way.ask(paths, caf::make_message(wire::HealthRequest{}), patience);
  }
};

caf::behavior healthy() {
  return {[](const wire::HealthRequest&) {
    auto x = wire::Health{};
    x.set_ready(true);
    return x;
  }};
}

caf::behavior silent(caf::event_based_actor* self) {
  return {[self](const wire::HealthRequest&) -> caf::result<wire::Health> {
    self->make_response_promise<wire::Health>();
    return caf::delegated<wire::Health>{};
  }};
}

SCENARIO("a thread asks actors and waits for all of them") {
  auto here = stage{};
  here.actors["well"] = here.system.spawn(healthy);
  here.actors["refusing"] = here.system.spawn([]() -> caf::behavior {
    return {[](const wire::HealthRequest&) -> caf::result<wire::Health> { return caf::make_error(fault::denied, "no"); }};
  });
  here.actors["silent"] = here.system.spawn(silent);
  here.actors["gone"] = here.system.spawn(healthy);
  caf::anon_send_exit(here.actors["gone"], caf::exit_reason::kill);
  const auto all = here.ask({"well", "refusing", "nowhere", "silent", "well", "gone"}, 300ms);
  REQUIRE(all.size() == 6);
  REQUIRE(all[0]);
  CHECK(all[0]->get_as<wire::Health>(0).ready());
  CHECK(explain(all[1].error()).kind == fault::denied);
  CHECK(explain(all[1].error()).text == "no");
  CHECK(explain(all[2].error()).kind == fault::unreachable);
  CHECK(explain(all[3].error()).kind == fault::timeout);
  CHECK(explain(all[3].error()).text == "silent did not answer within 300 ms");
  CHECK(all[4]);
  CHECK(explain(all[5].error()).kind == fault::unavailable);
}

SCENARIO("waiting threads are let go when the node stops") {
  auto here = stage{};
  here.actors["silent"] = here.system.spawn(silent);
  here.actors["well"] = here.system.spawn(healthy);
  auto answers = world::answers{};
  auto asker = std::thread{[&] { answers = here.ask({"silent", "well"}, 60s); }};
  here.way.give_up();
  asker.join();
  CHECK(explain(answers[0].error()).kind == fault::unavailable);
  CHECK(explain(here.ask({"well"})[0].error()).kind == fault::unavailable);
}

} // namespace
