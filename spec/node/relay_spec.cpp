#include "actors/node/directory.hpp"
#include "messages/registry.hpp"
#include "spec/stage.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

caf::behavior healthy(caf::event_based_actor*) {
  return {[](const wire::HealthRequest&) {
            auto x = wire::Health{};
            x.set_live(true);
            return x;
          },
          [](const wire::NodeReport&) { return wire::Done{}; }};
}

/// Takes requests and never answers them.
struct mute_state {
  std::vector<caf::typed_response_promise<wire::Health>> kept;
};
caf::behavior mute(caf::stateful_actor<mute_state>* self) {
  return {[=](const wire::HealthRequest&) {
    self->state.kept.push_back(self->make_response_promise<wire::Health>());
    return self->state.kept.back();
  }};
}

/// Answers in the thread that asks.
class prompt : public node::relay {
public:
  explicit prompt(caf::actor_config& config) : relay{config} {}
  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override {
    std::this_thread::yield(); // so that a cut comes in the middle, too
    what->sender->enqueue(caf::make_mailbox_element(ctrl(), what->mid.response_id(), {}, wire::Health{}), nullptr);
  }
};

/// Counts the answers to each request.
class counting : public node::relay {
public:
  counting(caf::actor_config& config, std::shared_ptr<std::vector<std::atomic<int>>> answers)
    : relay{config}, answers_{std::move(answers)} {}
  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit*) override {
    ++answers_->at(what->mid.request_id().integer_value());
  }

private:
  std::shared_ptr<std::vector<std::atomic<int>>> answers_;
};

caf::strong_actor_ptr address_of(const caf::actor& x) {
  return caf::actor_cast<caf::strong_actor_ptr>(x);
}

void end(const caf::actor& x) {
  caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
}

} // namespace

SCENARIO("a post is the address of an actor across its restarts") {
  auto stage = spec::stage{};
  auto post = node::make_relay<node::post>(stage.system, "room");
  const auto handle = node::handle_of(*post);
  WHEN("nobody is there") {
    THEN("a request is answered at once") {
      const auto answer = stage.ask<wire::Health>(handle, wire::HealthRequest{});
      REQUIRE_FALSE(answer);
      CHECK(explain(answer.error()).kind == fault::unavailable);
      CHECK(explain(answer.error()).text == "room is not running");
    }
  }
  WHEN("an actor moves in, and another one after it") {
    const auto first = stage.system.spawn(healthy);
    const auto second = stage.system.spawn(healthy);
    post->aim(address_of(first));
    CHECK(stage.ask<wire::Health>(handle, wire::HealthRequest{}));
    post->aim(address_of(second));
    end(first);
    stage.settle();
    THEN("the same handle reaches whoever is there now") {
      CHECK(stage.ask<wire::Health>(handle, wire::HealthRequest{}));
      CHECK(post->seen.messages() == 2);
    }
    end(second);
  }
  WHEN("it is traced") {
    const auto actor = stage.system.spawn(healthy);
    post->aim(address_of(actor));
    post->seen.record(2);
    for (auto i = 0; i < 3; ++i)
      stage.ask<wire::Health>(handle, wire::HealthRequest{});
    THEN("the last messages are kept, and no more than were wanted") {
      const auto kept = post->seen.recorded_after(0);
      REQUIRE(kept.size() == 2);
      CHECK(kept.front().number == 2);
      CHECK(kept.back().message == "HealthRequest");
      CHECK(post->seen.recorded_after(3).empty());
    }
    end(actor);
  }
  post->aim(nullptr);
}

SCENARIO("a channel never lets a request vanish") {
  auto stage = spec::stage{};
  auto way = node::make_relay<node::channel>(stage.system, "cloud-1", "scheduler", node::channel::limits{.outstanding_max = 2, .age_max = 10s});
  const auto handle = node::handle_of(*way);
  auto kind_of = [](const auto& answer) { return answer ? fault{} : explain(answer.error()).kind; };
  WHEN("it was cut") {
    way->cut("it fell silent");
    THEN("a request fails at once and says who cannot be reached") {
      const auto answer = stage.ask<wire::Health>(handle, wire::HealthRequest{});
      CHECK(kind_of(answer) == fault::unreachable);
      CHECK(explain(answer.error()).text == "cloud-1: it fell silent");
    }
  }
  WHEN("nobody has looked yet whether the actor is there") {
    auto first = stage.audience->request(handle, caf::infinite, wire::HealthRequest{});
    stage.settle();
    CHECK(way->outstanding() == 1);
    CHECK_FALSE(way->connected());
    auto answered = fault::timeout;
    auto outcome = [&] {
      first.receive([&](const wire::Health&) { answered = {}; }, [&](caf::error& x) { answered = explain(x).kind; });
      return answered;
    };
    THEN("a request waits for the connection") {
      const auto actor = stage.system.spawn(healthy);
      way->aim(address_of(actor));
      stage.settle();
      CHECK(outcome() == fault{});
      end(actor);
    }
    THEN("it fails with what prevents the connection") {
      way->cut("there is no link to it");
      CHECK(outcome() == fault::unreachable);
    }
  }
  WHEN("it is connected to somebody who answers") {
    const auto actor = stage.system.spawn(healthy);
    way->aim(address_of(actor));
    THEN("the answer comes back, and nothing is outstanding") {
      CHECK(stage.ask<wire::Health>(handle, wire::HealthRequest{}));
      CHECK(way->outstanding() == 0);
    }
    end(actor);
  }
  WHEN("it is connected to somebody who never answers") {
    const auto actor = stage.system.spawn(mute);
    way->aim(address_of(actor));
    auto first = stage.audience->request(handle, caf::infinite, wire::HealthRequest{});
    auto second = stage.audience->request(handle, caf::infinite, wire::HealthRequest{});
    stage.settle();
    CHECK(way->outstanding() == 2);
    auto outcome = [&](auto& request) {
      auto found = fault{};
      request.receive([](const wire::Health&) {}, [&](caf::error& x) { found = explain(x).kind; });
      return found;
    };
    THEN("one more than may wait is refused") {
      CHECK(kind_of(stage.ask<wire::Health>(handle, wire::HealthRequest{})) == fault::overloaded);
      way->cut("over");
      CHECK(outcome(first) == fault::unreachable);
      CHECK(outcome(second) == fault::unreachable);
    }
    THEN("those that wait fail when the connection breaks") {
      way->cut("the connection broke");
      CHECK(outcome(first) == fault::unreachable);
      CHECK(outcome(second) == fault::unreachable);
      CHECK(way->outstanding() == 0);
      CHECK_FALSE(way->connected());
    }
    THEN("those that are too old are given up, and not a moment before") {
      stage.pass(9s);
      way->expire();
      CHECK(way->outstanding() == 2);
      stage.pass(1s);
      way->expire();
      CHECK(way->outstanding() == 0);
      CHECK(outcome(first) == fault::timeout);
      CHECK(outcome(second) == fault::timeout);
    }
    end(actor);
  }
  way->cut("the curtain falls");
}

SCENARIO("what a channel holds does not hold the channel") {
  auto stage = spec::stage{};
  const auto answers = std::make_shared<std::vector<std::atomic<int>>>(2);
  const auto asker = node::make_relay<counting>(stage.system, answers);
  auto way = node::make_relay<node::channel>(stage.system, "cloud-1", "scheduler", node::channel::limits{});
  way->enqueue(caf::make_mailbox_element(asker->ctrl(), caf::make_message_id(1), {}, wire::HealthRequest{}), nullptr);
  CHECK(way->outstanding() == 1);
  const auto weak = caf::weak_actor_ptr{way->ctrl()};
  way.reset();
  CHECK_FALSE(caf::actor_cast<caf::strong_actor_ptr>(weak));
}

SCENARIO("a channel that is cut again and again while many ask answers each request once") {
  auto stage = spec::stage{};
  constexpr auto senders = 4u, each = 5000u;
  const auto answers = std::make_shared<std::vector<std::atomic<int>>>(senders * each + 1);
  const auto way = node::make_relay<node::channel>(stage.system, "cloud-1", "scheduler", node::channel::limits{.outstanding_max = 3, .age_max = 10s});
  const auto far = node::make_relay<prompt>(stage.system);
  const auto asker = node::make_relay<counting>(stage.system, answers);
  auto going = std::atomic<unsigned>{senders};
  auto threads = std::vector<std::thread>{};
  for (auto i = 0u; i < senders; ++i)
    threads.emplace_back([&, i] {
      for (auto n = 0u; n < each; ++n)
        way->enqueue(caf::make_mailbox_element(asker->ctrl(), caf::make_message_id(i * each + n + 1), {}, wire::HealthRequest{}), nullptr);
      --going;
    });
  while (going > 0) {
    way->aim(caf::strong_actor_ptr{far->ctrl()});
    std::this_thread::yield();
    way->cut("it breaks");
  }
  for (auto& x : threads)
    x.join();
  // All may have asked before anybody looked.
  way->cut("the curtain falls");
  CHECK(way->outstanding() == 0);
  CHECK(std::all_of(answers->begin() + 1, answers->end(), [](const auto& x) { return x == 1; }));
}

SCENARIO("a gate lets through what the table of trust permits, and nothing else") {
  auto stage = spec::stage{};
  const auto actor = stage.system.spawn(healthy);
  auto refused = std::vector<std::string>{};
  auto open = [&](const claim& who) {
    return node::make_relay<node::gate>(stage.system, actor, who, [&](const std::string& x) { refused.push_back(x); });
  };
  auto report_of = [](const std::string& node) {
    auto x = wire::NodeReport{};
    x.set_node(node);
    return x;
  };
  const auto worker = open({"edge-1", "edge"});
  const auto controller = open({"cloud-1", "cloud"});
  const auto stranger = open({"nobody", "no such role"});
  THEN("an edge may ask for health and report on itself") {
    CHECK(stage.ask<wire::Health>(node::handle_of(*worker), wire::HealthRequest{}));
    CHECK(stage.ask<wire::Done>(node::handle_of(*worker), report_of("edge-1")));
  }
  THEN("an edge may not report on another, nor give the orders of a controller") {
    CHECK_FALSE(stage.ask<wire::Done>(node::handle_of(*worker), report_of("edge-2")));
    CHECK_FALSE(stage.ask<wire::Done>(node::handle_of(*worker), wire::Assign{}));
    CHECK(refused == std::vector<std::string>{"NodeReport", "Assign"});
  }
  THEN("a controller may speak for others") {
    CHECK(stage.ask<wire::Done>(node::handle_of(*controller), report_of("edge-2")));
  }
  THEN("a role that does not exist may say nothing") {
    CHECK_FALSE(stage.ask<wire::Health>(node::handle_of(*stranger), wire::HealthRequest{}));
  }
  THEN("messages of the runtime do not get through: no peer can end an actor of ours") {
    caf::anon_send_exit(node::handle_of(*controller), caf::exit_reason::kill);
    stage.settle();
    CHECK(stage.ask<wire::Health>(node::handle_of(*controller), wire::HealthRequest{}));
  }
  THEN("a closed gate lets nothing through") {
    worker->close();
    CHECK_FALSE(stage.ask<wire::Health>(node::handle_of(*worker), wire::HealthRequest{}));
  }
  for (const auto& x : {worker, controller, stranger})
    x->close();
  end(actor);
}

SCENARIO("relays that pass a message on name who is to have it, and judge and count as when it is sent") {
  auto stage = spec::stage{};
  const auto actor = stage.system.spawn(healthy);
  auto refused = 0;
  const auto post = node::make_relay<node::post>(stage.system, "room");
  const auto outer = node::make_relay<node::gate>(stage.system, node::handle_of(*post), claim{"edge-1", "edge"},
                                                  [&](const std::string&) { ++refused; });
  const auto inner = node::make_relay<node::gate>(stage.system, actor, claim{"edge-1", "edge"}, [](const auto&) {});
  const auto pass = [&](node::relay& by, auto what) {
    auto element = caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, std::move(what));
    return by.pass(element, nullptr);
  };
  CHECK(pass(*outer, wire::HealthRequest{}) == nullptr);
  post->aim(address_of(actor));
  CHECK(pass(*outer, wire::HealthRequest{}) == address_of(actor).get());
  CHECK(post->seen.messages() == 2);
  CHECK(pass(*outer, wire::Assign{}) == nullptr);
  CHECK(refused == 1);
  CHECK(post->seen.messages() == 2);
  CHECK(pass(*inner, wire::HealthRequest{}) == address_of(actor).get());
  outer->close();
  CHECK(pass(*outer, wire::HealthRequest{}) == nullptr);
  inner->close();
  post->aim(nullptr);
  end(actor);
}

SCENARIO("the directory leads to whoever leads") {
  auto stage = spec::stage{};
  auto names = node::directory{stage.system, "cloud-1"};
  const auto own = stage.system.spawn(healthy);
  names.open("scheduler")->aim(address_of(own));
  THEN("nobody is found while nobody leads") {
    CHECK_FALSE(names.find("scheduler"));
  }
  THEN("the local one is found when this node leads") {
    names.lead("cloud-1");
    const auto found = names.find("scheduler");
    REQUIRE(found);
    CHECK(stage.ask<wire::Health>(*found, wire::HealthRequest{}));
  }
  THEN("the same handle leads elsewhere when another node leads") {
    names.lead("cloud-1");
    const auto found = names.find("scheduler");
    names.lead("cloud-2");
    const auto answer = stage.ask<wire::Health>(*found, wire::HealthRequest{});
    REQUIRE_FALSE(answer);
    CHECK(explain(answer.error()).text.starts_with("cloud-2: "));
  }
  THEN("what does not exist is not found") {
    CHECK_FALSE(names.find("no-such-actor"));
    CHECK_FALSE(names.find("cloud-1/no-such-actor"));
    CHECK_FALSE(names.find("edge-1/"));
  }
  THEN("a way to a peer is made once and told of once") {
    auto told = 0;
    names.on_new_way([&](const auto&) { ++told; });
    CHECK(names.way_to("edge-1", "agent") == names.way_to("edge-1", "agent"));
    CHECK(told == 1);
    CHECK(names.ways_to("edge-1").size() == 1);
    CHECK(names.ways_to("edge-2").empty());
  }
  end(own);
  stage.settle();
}
