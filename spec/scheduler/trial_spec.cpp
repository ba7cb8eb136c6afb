#include "actors/scheduler/trial.hpp"

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/orders.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>
#include <utility>

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
