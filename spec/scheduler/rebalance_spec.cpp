#include "actors/scheduler/rebalance.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace novacron::scheduler;

namespace {

node_shape shape(const std::string& name, std::int64_t cpu, std::int64_t memory) {
  return {name, {{"zone", "a"}}, {cpu, memory, 1000, 0, "", {}}, {}, true, node_state::ready};
}

movable guest(const std::string& key, std::int64_t cpu, std::int64_t memory, bool live = true) {
  auto x = movable{};
  x.key = key;
  x.wants.workload = key;
  x.wants.need = {cpu, memory, 0, 0, "", {}};
  x.live = live;
  return x;
}

/// Nodes and who is on which.
struct hall {
  std::vector<node_shape> nodes;
  std::vector<movable> guests;
  std::map<std::string, std::string> where;

  hall& with(const std::string& node, node_state state = node_state::ready) {
    nodes.push_back(shape(node, 1000, 1000));
    nodes.back().state = state;
    return *this;
  }
  hall& with(const movable& x, const std::string& node) {
    guests.push_back(x);
    where[x.key] = node;
    return *this;
  }
  std::int64_t cpu_left(const std::string& node) const { return left(node, &amount::cpu_milli); }
  std::int64_t memory_left(const std::string& node) const { return left(node, &amount::memory_bytes); }
  std::int64_t left(const std::string& node, std::int64_t amount::*of) const {
    auto free = std::int64_t{1000};
    for (const auto& x : guests)
      if (where.at(x.key) == node)
        free -= x.wants.need.*of;
    return free;
  }
  std::vector<planned_move> plan(const rebalance_limits& limits = {}) const {
    auto all = cluster{};
    for (const auto& x : nodes)
      all.set_node(x);
    for (const auto& x : guests)
      all.take(x.key, {where.at(x.key), x.wants.workload, x.wants.need, {}, x.wants.claims, x.wants.apart});
    return plan_rebalance(std::move(all), guests, limits);
  }
};

hall crowded_hall(std::uint64_t seed) {
  auto chance = std::mt19937_64{seed};
  auto x = hall{};
  for (auto i = 0; i < 6; ++i)
    x.with("n" + std::to_string(i));
  for (auto i = 0; i < 40; ++i) {
    const auto cpu = static_cast<std::int64_t>(50 + chance() % 200);
    const auto memory = static_cast<std::int64_t>(50 + chance() % 200);
    const auto one = guest("g" + std::to_string(i), cpu, memory, chance() % 2 == 0);
    // The first nodes fill up; the last ones stay empty.
    for (const auto* node : {"n0", "n1", "n2", "n3"})
      if (x.cpu_left(node) >= cpu && x.memory_left(node) >= memory) {
        x.with(one, node);
        break;
      }
  }
  return x;
}

/// The most cpu or memory that any node holds while the moves are made, movers counted on both nodes.
std::int64_t worst_moment(const hall& x, const std::vector<planned_move>& moves) {
  struct use {
    std::int64_t cpu = 0;
    std::int64_t memory = 0;
  };
  auto held = std::map<std::string, use>{};
  auto needs = std::map<std::string, amount>{};
  const auto add = [&](const std::string& node, const std::string& key, std::int64_t sign) {
    held[node].cpu += sign * needs[key].cpu_milli;
    held[node].memory += sign * needs[key].memory_bytes;
  };
  for (const auto& g : x.guests) {
    needs[g.key] = g.wants.need;
    add(x.where.at(g.key), g.key, 1);
  }
  auto worst = std::int64_t{0};
  for (auto i = std::size_t{0}; i < moves.size();) {
    auto end = i;
    for (; end < moves.size() && moves[end].wave == moves[i].wave; ++end)
      add(moves[end].target, moves[end].key, 1);
    for (const auto& [node, u] : held)
      worst = std::max({worst, u.cpu, u.memory});
    for (; i < end; ++i)
      add(moves[i].source, moves[i].key, -1);
  }
  return worst;
}

} // namespace

SCENARIO("a crowded node sends instances to an empty one, the best move first, and then it is enough") {
  auto x = hall{};
  x.with("full").with("idle");
  for (const auto* key : {"a", "b", "c", "d"})
    x.with(guest(key, 200, 200), "full");
  const auto moves = x.plan();
  REQUIRE(moves.size() == 2);
  CHECK(moves[0].key == "a");
  CHECK(moves[0].source == "full");
  CHECK(moves[0].target == "idle");
  CHECK(moves[0].live);
  CHECK(moves[0].gain > 0);
  CHECK(x.plan({.moves_max = 1}).size() == 1);
  CHECK(x.plan({.moves_max = 0}).empty());
  CHECK(x.plan({.gain_min = 10}).empty());
  for (const auto& move : moves)
    x.where[move.key] = move.target;
  CHECK(x.plan().empty());
}

SCENARIO("who is on a drained node leaves before anybody else moves") {
  auto x = hall{};
  x.with("full").with("idle").with("drained", node_state::drained).with("lost", node_state::lost);
  x.with(guest("a", 400, 400), "full").with(guest("b", 400, 400), "full");
  x.with(guest("y", 100, 100), "lost").with(guest("z", 100, 100), "drained");
  const auto moves = x.plan();
  REQUIRE_FALSE(moves.empty());
  CHECK(moves[0].key == "z");
  CHECK(moves[0].must_leave);
  CHECK(std::ranges::none_of(moves, [](const auto& m) { return m.target == "drained" || m.target == "lost"; }));
  // From a lost node nothing can be moved; others see to that.
  CHECK(std::ranges::none_of(moves, [](const auto& m) { return m.key == "y"; }));
}

SCENARIO("an exchange that would need room on both sides at once does not happen") {
  auto x = hall{};
  x.with("a", node_state::drained).with("b");
  x.with(guest("x", 600, 600), "a").with(guest("y", 600, 600), "b");
  CHECK(x.plan().empty());
}

SCENARIO("whatever moves, no node holds more than it has at any moment, and nobody moves twice") {
  for (auto seed = std::uint64_t{1}; seed <= 40; ++seed) {
    CAPTURE(seed);
    const auto x = crowded_hall(seed);
    const auto limits = rebalance_limits{.moves_max = 12, .at_once = 1 + seed % 4, .gain_min = 0.01};
    const auto moves = x.plan(limits);
    CHECK_FALSE(moves.empty());
    CHECK(moves.size() <= 12);
    CHECK(worst_moment(x, moves) <= 1000);
    auto keys = std::set<std::string>{};
    for (const auto& move : moves) {
      CHECK(keys.insert(move.key).second);
      CHECK(move.source != move.target);
    }
    for (auto i = std::size_t{1}; i < moves.size(); ++i)
      CHECK(moves[i].wave >= moves[i - 1].wave);
    for (const auto& move : moves)
      CHECK(std::ranges::count(moves, move.wave, &planned_move::wave) <= static_cast<std::ptrdiff_t>(limits.at_once));
  }
}
