#include "actors/scheduler/trial.hpp"

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/orders.hpp"
#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::scheduler;

namespace {

/// Weights as training makes them, with what it says of them.
wire::Policy learned(features weights) {
  auto x = to_policy("learned", weights);
  auto& how = *x.mutable_training();
  how.set_history(std::string(64, 'a'));
  how.set_against("balance");
  how.set_score(96.3);
  how.set_score_against(93.4);
  how.set_deviation(0.1);
  how.set_runs(30);
  return x;
}

features good() {
  auto weights = *policy_weights("balance");
  weights[room] = weights[evenness] = 0;
  weights[whole] = 1;
  weights[usable] = -0.5f;
  return weights;
}

features with(feature which, float weight) {
  auto weights = good();
  weights[which] = weight;
  return weights;
}

/// Stands its trial, but leaves cores without memory where both are asked for in all proportions.
features lopsided() {
  auto weights = *policy_weights("balance");
  weights[room] = -0.1f;
  weights[evenness] = -0.2f;
  return weights;
}

std::vector<trace_pod> all_proportions(std::size_t count) {
  auto chance = std::mt19937_64{8};
  auto pods = std::vector<trace_pod>(count);
  for (auto& x : pods) {
    x.cpu_milli = 1000 * static_cast<std::int64_t>(1 + chance() % 8);
    x.memory_mib = 1024 * static_cast<std::int64_t>(1 + chance() % 32);
  }
  return pods;
}

/// A ledger that takes every order.
struct ledger {
  truth now;
  std::uint64_t index = 0;

  order set(wire::Policy policy, bool only_define = false, bool removed = false) {
    auto asked = wire::SetPolicy{};
    *asked.mutable_policy() = std::move(policy);
    asked.set_only_define(only_define);
    asked.set_removed(removed);
    auto x = order_policy(now, asked);
    ++index;
    for (const auto& op : x.ops) {
      CHECK(now.revision_of(op.key()) == op.revision());
      if (op.remove()) {
        now.remove(op.key());
        continue;
      }
      auto entry = wire::LedgerEntry{};
      entry.set_key(op.key());
      entry.set_value(op.value());
      entry.set_revision(index);
      now.write(entry);
    }
    return x;
  }
  order choose(const std::string& name) {
    auto policy = wire::Policy{};
    policy.set_name(name);
    return set(policy);
  }
  std::string in_use() const { return now.settings.value.policy(); }
};

} // namespace

SCENARIO("a learned policy stands its trial, and a poisoned one does not") {
  CHECK(wrong_policy_record(learned(good())) == "");
  for (const auto& [which, weight] :
       {std::pair{whole, -1.0f}, std::pair{usable, -2.0f}, std::pair{evenness, -30.0f}, std::pair{room, 30.0f}}) {
    CAPTURE(to_string(which));
    CHECK(wrong_policy_record(learned(with(which, weight))).find("on trial with") == 0);
  }
  auto opposite = good();
  for (const auto each : {whole, usable})
    opposite[each] = -opposite[each];
  CHECK(wrong_policy_record(learned(opposite)).find("on trial with GPUs it filled") == 0);
}

SCENARIO("a learned policy leaves alone what no replay shows") {
  CHECK(wrong_policy_record(learned(with(fresh, -8))) == "its weight of fresh is -8, but learning leaves that at 8");
  CHECK(wrong_policy_record(learned(with(feature::home, -500))) != "");
  CHECK(wrong_policy_record(learned(with(prefer, 0))) != "");
  // By hand everything may be weighed.
  auto by_hand = learned(with(fresh, -8));
  by_hand.clear_training();
  CHECK(wrong_policy_record(by_hand) == "");
}

SCENARIO("weights that are no weights are refused") {
  constexpr auto limits = std::numeric_limits<double>{};
  for (const auto weight : {limits.quiet_NaN(), limits.infinity(), 1001.0, -1e300}) {
    auto x = learned(good());
    (*x.mutable_weights())["room"] = weight;
    CHECK(wrong_policy_record(x) == "the weight of room is not between -1000 and 1000");
  }
  auto x = learned(good());
  (*x.mutable_weights())["luck"] = 1;
  CHECK(wrong_policy_record(x).find("there is no feature called luck") == 0);
}

SCENARIO("what its training did not show to be better is refused") {
  const auto changed = [](auto change) {
    auto x = learned(good());
    change(*x.mutable_training());
    return wrong_policy_record(x);
  };
  CHECK(changed([](auto& x) { x.set_score(93.45); }) ==
        "it filled 93.45 % where balance filled 93.40 %, which is no better beyond chance");
  CHECK(changed([](auto& x) { x.set_score(std::numeric_limits<double>::quiet_NaN()); }) != "");
  CHECK(changed([](auto& x) { x.set_score(1e9); }) != "");
  CHECK(changed([](auto& x) { x.set_runs(1); }) != "");
  CHECK(changed([](auto& x) { x.clear_history(); }) != "");
  CHECK(changed([](auto& x) { x.set_against("luck"); }) != "");
}

SCENARIO("each training that is written down is the next version, and one can go back") {
  auto x = ledger{};
  CHECK(x.set(learned(good())).effect == "changed");
  CHECK(x.in_use() == "learned-1");
  CHECK(x.now.policies.at("learned-1").value.version() == 1);
  CHECK(x.now.policies.at("learned-1").value.training().runs() == 30);
  CHECK_FALSE(x.set(learned(with(usable, -0.25f)), true).refused);
  CHECK(x.in_use() == "learned-1");
  CHECK(x.now.policies.at("learned-2").value.weights().at("usable") == -0.25);
  CHECK_FALSE(x.choose("learned-2").refused);
  CHECK(x.in_use() == "learned-2");
  CHECK_FALSE(x.choose("learned-1").refused);
  CHECK(x.in_use() == "learned-1");
}

SCENARIO("a poisoned model changes nothing") {
  auto x = ledger{};
  REQUIRE_FALSE(x.set(learned(good())).refused);
  const auto refused = x.set(learned(with(whole, -1)));
  CHECK(refused.refused == fault::bad_request);
  CHECK(refused.reason.find("the model is refused: on trial with GPUs it filled") == 0);
  CHECK(x.now.policies.size() == 1);
  CHECK(x.in_use() == "learned-1");
}

SCENARIO("eight versions are kept, and the one in use is among them") {
  auto x = ledger{};
  REQUIRE_FALSE(x.set(learned(good())).refused);
  for (auto i = 0; i < 9; ++i)
    REQUIRE_FALSE(x.set(learned(good()), true).refused);
  CHECK(x.now.policies.size() == 8);
  CHECK(x.now.policies.contains("learned-1"));
  CHECK(x.now.policies.contains("learned-10"));
  CHECK_FALSE(x.now.policies.contains("learned-3"));
  CHECK(x.now.policies.contains("learned-4"));
}

SCENARIO("a policy that was written down by hand keeps its name") {
  auto x = ledger{};
  auto by_hand = learned(good());
  by_hand.clear_training();
  by_hand.set_name("learned-1");
  REQUIRE_FALSE(x.set(by_hand, true).refused);
  REQUIRE_FALSE(x.set(learned(good())).refused);
  CHECK(x.in_use() == "learned-2");
  CHECK(x.now.policies.at("learned-1").value.version() == 0);
}

SCENARIO("what stood its trial is judged again by what is really asked for") {
  REQUIRE(wrong_policy_record(learned(lopsided())) == "");
  const auto nodes = std::vector<trace_node>(40, {"", 16'000, 65'536, 0, ""});
  const auto pods = all_proportions(300);
  CHECK(wrong_in_use(lopsided(), nodes, pods).find("in use, of the last 300 requests it would have filled 9") == 0);
  CHECK(wrong_in_use(good(), nodes, pods) == "");
  CHECK(wrong_in_use(*policy_weights("balance"), nodes, pods) == "");
  // Of what cannot be replayed nothing is said.
  CHECK(wrong_in_use(lopsided(), {}, pods) == "");
  CHECK(wrong_in_use(lopsided(), nodes, {}) == "");
  CHECK(wrong_in_use(lopsided(), nodes, std::vector<trace_pod>(9)) == "");
  auto devices = pods;
  devices.front().gpus = 1;
  devices.front().gpu_milli = 1000;
  CHECK(wrong_in_use(lopsided(), nodes, devices) == "");
}

SCENARIO(
    "a learned policy that falls behind in use is set aside, for every controller, until somebody asks for it again") {
  auto settings = scheduler_config{};
  settings.reconcile.judge_after = 300;
  auto x = novacron::spec::play{{"cloud-1", "cloud-2"}, settings};
  for (auto i = 0; i < 40; ++i)
    x.add_node("n" + std::to_string(i), "a", 16'000, std::uint64_t{64} << 30);
  const auto set = [&](const wire::Policy& policy) {
    auto order = wire::SetPolicy{};
    *order.mutable_policy() = policy;
    return x.stage.ask<wire::Done>(x.boss(), order);
  };
  const auto shown = [&] {
    const auto all = x.stage.ask<wire::PolicyList>(x.boss(), wire::PolicyListRequest{});
    for (const auto& each : all->policies())
      if (each.name() == "learned-1")
        return each;
    return wire::Policy{};
  };
  REQUIRE(set(learned(lopsided())));
  auto number = 0;
  const auto ask_for = [&](std::size_t count) {
    for (const auto& pod : all_proportions(count)) {
      auto spec = novacron::spec::play::service("w" + std::to_string(number++));
      spec.mutable_resources()->set_cpu_milli(static_cast<std::uint64_t>(pod.cpu_milli));
      spec.mutable_resources()->set_memory_bytes(static_cast<std::uint64_t>(pod.memory_mib) << 20);
      REQUIRE(x.submit(spec));
    }
    x.pass(2);
  };
  ask_for(299);
  CHECK(shown().fallback() == "");
  ask_for(1);
  CHECK(shown().fallback().find("in use, of the last 300 requests") == 0);
  x.book.lead("cloud-2");
  x.stage.settle();
  CHECK(shown().fallback().find("in use, of the last 300 requests") == 0);
  auto again = wire::Policy{};
  again.set_name("learned-1");
  REQUIRE(set(again));
  CHECK(shown().fallback() == "");
}
