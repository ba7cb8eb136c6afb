#include "actors/scheduler/preemption.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

struct town {
  cluster all = cluster{};
  std::vector<node_shape> nodes;
  std::map<std::string, displaceable> holds;

  void node(const std::string& name, std::int64_t cpu, std::int64_t gpus = 0) {
    nodes.push_back(
        {name, {{"zone", name.substr(0, 1)}}, {cpu, 1 << 20, 0, gpus * 1000, "", {}}, {}, true, node_state::ready});
    all.set_node(nodes.back());
  }
  static request need(const std::string& workload, std::int64_t cpu, std::int64_t gpu = 0) {
    auto x = request{};
    x.workload = workload;
    x.need = {cpu, 1, 0, gpu, "", {}};
    return x;
  }
  bool put(const std::string& key, const request& x, std::int32_t priority) {
    const auto where = all.place(x);
    if (where) {
      auto room = hold_of(x, *where);
      room.priority = priority;
      all.take(key, std::move(room));
      holds[key] = {x, priority};
    }
    return where.has_value();
  }
  std::optional<preemption> preempt(const request& x, std::int32_t priority) {
    return novacron::scheduler::preempt(all, x, priority, [&](const std::string& key) -> std::optional<displaceable> {
      const auto found = holds.find(key);
      return found == holds.end() ? std::nullopt : std::optional{found->second};
    });
  }
  /// The same once more.
  cluster again() const {
    auto other = cluster{};
    for (const auto& each : nodes)
      other.set_node(each);
    for (const auto& [key, x] : holds)
      other.take(key, *all.find_hold(key));
    return other;
  }
  std::string state() const {
    auto text = std::string{};
    for (const auto& [key, x] : holds) {
      const auto* held = all.find_hold(key);
      text += key + "@" + (held ? held->node : "nowhere");
      for (const auto device : held ? held->gpus : std::vector<std::uint32_t>{})
        text += "/" + std::to_string(device);
      text += " " + std::to_string(held ? all.free_on(held->node).cpu_milli : 0) + ";";
    }
    return text;
  }
};

} // namespace

SCENARIO("the important one gets a place and the other another one") {
  auto x = town();
  x.node("a", 4000);
  x.node("b", 2000);
  REQUIRE(x.put("small", town::need("small", 1000), 0));
  // It is on the emptier node, where the great one has to go.
  REQUIRE(x.all.find_hold("small")->node == "a");
  const auto great = town::need("great", 4000);
  REQUIRE_FALSE(x.all.place(great));
  const auto plan = x.preempt(great, 5);
  REQUIRE(plan);
  CHECK(plan->where.node == "a");
  REQUIRE(plan->victims.size() == 1);
  CHECK(plan->victims.front().key == "small");
  CHECK(plan->victims.front().where.node == "b");
  CHECK_FALSE(x.preempt(great, 0));
}

SCENARIO("who could not be placed again is left alone") {
  auto x = town();
  x.node("a", 4000);
  x.node("b", 2000);
  REQUIRE(x.put("large", town::need("large", 3000), 0));
  CHECK_FALSE(x.preempt(town::need("great", 4000), 5));
}

SCENARIO("who must stay is not moved, and no more move than have to") {
  auto x = town();
  x.node("a", 4000, 2);
  x.node("b", 4000);
  for (auto i = 0; i < 4; ++i)
    REQUIRE(x.put("cpu-" + std::to_string(i), town::need("cpu-" + std::to_string(i), 1500), i));
  auto gpu = town::need("gpu", 2000, 1000);
  const auto plan = x.preempt(gpu, 9);
  if (plan)
    CHECK(plan->victims.size() == 1);
  x.holds.clear();
  CHECK_FALSE(x.preempt(gpu, 9));
}

SCENARIO("in a hundred thousand random cases nobody loses a place without another, and nothing is left changed") {
  auto chance = std::mt19937_64{11};
  const auto roll = [&](std::uint64_t n) { return static_cast<std::int64_t>(chance() % n); };
  auto planned = 0;
  for (auto world = 0; world < 4000; ++world) {
    auto x = town();
    const auto nodes = 2 + roll(4);
    for (auto i = 0; i < nodes; ++i)
      x.node(std::string(1, static_cast<char>('a' + i)), 1000 * (2 + roll(4)), roll(3));
    for (auto i = 0; i < 10; ++i) {
      auto guest = town::need("w" + std::to_string(roll(4)), 250 * (1 + roll(6)), roll(4) ? 0 : roll(2) ? 1000 : 500);
      if (roll(5) == 0)
        guest.apart.emplace_back(guest.workload);
      if (roll(6) == 0)
        guest.require["zone"] = std::string(1, static_cast<char>('a' + roll(4)));
      x.put("k" + std::to_string(i), guest, static_cast<std::int32_t>(roll(4)));
    }
    for (auto each = 0; each < 25; ++each) {
      auto great = town::need("w" + std::to_string(roll(6)), 500 * (1 + roll(8)), roll(3) ? 0 : 1000);
      if (roll(5) == 0)
        great.apart.emplace_back("w" + std::to_string(roll(4)));
      const auto priority = static_cast<std::int32_t>(roll(5));
      const auto before = x.state();
      const auto plan = x.preempt(great, priority);
      REQUIRE(x.state() == before);
      if (!plan)
        continue;
      ++planned;
      // The plan is carried out on another cluster, all at once, and must stand up to its rules.
      auto after = x.again();
      auto gone = std::map<std::string, decision>{};
      for (const auto& victim : plan->victims) {
        REQUIRE(x.holds.at(victim.key).priority < priority);
        REQUIRE(victim.where.node != x.all.find_hold(victim.key)->node);
        REQUIRE(gone.emplace(victim.key, victim.where).second);
        after.release(victim.key);
      }
      const auto settle = [&](const std::string& key, const request& what, const decision& where) {
        auto exactly = what;
        exactly.require["node"] = where.node;
        REQUIRE(after.place(exactly));
        after.take(key, {where.node, what.workload, what.need, where.gpus, what.claims, what.apart});
        REQUIRE(after.free_on(where.node).cpu_milli >= 0);
        for (const auto free : after.gpus_on(where.node))
          REQUIRE(free >= 0);
      };
      settle("great", great, plan->where);
      for (const auto& victim : plan->victims)
        settle(victim.key, x.holds.at(victim.key).wanted, victim.where);
    }
  }
  CHECK(planned > 1000);
}

SCENARIO("one moves rather than two, however many nodes there are where two would have to") {
  for (const auto before : {1, 40, 400}) {
    auto x = town();
    const auto put = [&](const std::string& key, const std::string& node, std::int64_t cpu, std::int32_t priority) {
      auto wanted = town::need(key, cpu);
      wanted.require["node"] = node;
      REQUIRE(x.put(key, wanted, priority));
      x.holds.at(key).wanted.require.clear();
    };
    for (auto i = 0; i < before; ++i) {
      const auto node = "a" + std::to_string(1000 + i);
      x.node(node, 8000);
      put(node + "-great", node, 4000, 10);
      put(node + "-left", node, 2000, 0);
      put(node + "-right", node, 2000, 0);
    }
    x.node("b", 8000);
    for (const auto* each : {"one", "two", "three"})
      put(each, "b", 2000, 0);
    x.node("c", 3000);
    const auto plan = x.preempt(town::need("newcomer", 4000), 10);
    REQUIRE(plan);
    CHECK(plan->where.node == "b");
    REQUIRE(plan->victims.size() == 1);
    CHECK(plan->victims.front().where.node == "c");
  }
}
