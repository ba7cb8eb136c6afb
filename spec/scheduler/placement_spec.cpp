#include "actors/scheduler/placement.hpp"

#include <fmt/format.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace novacron::scheduler;

namespace {

node_shape shape(const std::string& name, const std::string& zone, std::int64_t cpu, std::int64_t memory,
                 std::int64_t gpus = 0, const std::string& model = "") {
  return {name, {{"zone", zone}}, {cpu, memory, 1000, gpus * 1000, model, {}}, {}, true, node_state::ready};
}

request need(const std::string& workload, std::int64_t cpu, std::int64_t memory, std::int64_t gpu = 0) {
  auto x = request{};
  x.workload = workload;
  x.need = {cpu, memory, 0, gpu, "", {}};
  return x;
}

void put(cluster& c, const std::string& key, const request& x, const decision& d) {
  c.take(key, hold_of(x, d));
}

/// What is on which node, kept as plainly as can be: what the columns must agree with.
struct plain_cluster {
  struct guest {
    std::string node;
    request what;
    std::vector<std::uint32_t> gpus;
  };
  std::vector<node_shape> nodes;
  std::map<std::string, guest> guests;

  std::int64_t count(const std::string& node, const std::string& workload) const {
    return std::ranges::count_if(guests, [&](const auto& g) {
      return g.second.node == node && g.second.what.workload == workload;
    });
  }

  std::vector<std::int64_t> devices(const node_shape& n) const {
    auto free = std::vector<std::int64_t>(static_cast<std::size_t>(n.capacity.gpu_milli / 1000), 1000);
    for (const auto& [key, g] : guests)
      if (g.node == n.name)
        for (const auto device : g.gpus)
          free[device] -= std::min<std::int64_t>(g.what.need.gpu_milli, 1000);
    return free;
  }

  bool allows(const node_shape& n, const request& x) const {
    if (n.state != node_state::ready)
      return false;
    for (const auto& [key, value] : x.require)
      if (!n.labels.contains(key) || n.labels.at(key) != value)
        return false;
    return true;
  }

  bool room(const node_shape& n, const request& x) const {
    auto cpu = n.capacity.cpu_milli - x.need.cpu_milli;
    auto memory = n.capacity.memory_bytes - x.need.memory_bytes;
    for (const auto& [key, g] : guests)
      if (g.node == n.name) {
        cpu -= g.what.need.cpu_milli;
        memory -= g.what.need.memory_bytes;
      }
    const auto free = devices(n);
    const auto gpu = x.need.gpu_milli == 0 ? true
                     : x.need.gpu_milli < 1000
                       ? std::ranges::any_of(free, [&](auto f) { return f >= x.need.gpu_milli; })
                       : std::ranges::count_if(free, [](auto f) { return f == 1000; }) * 1000 >= x.need.gpu_milli;
    return cpu >= 0 && memory >= 0 && gpu;
  }

  static bool meant(const neighbour& rule, const request& whom) {
    return rule.who == whom.workload || std::ranges::count(whom.labels, rule.who) > 0;
  }

  bool share(const node_shape& n, const guest& g, const std::string& over) const {
    const auto& other = *std::ranges::find(nodes, g.node, &node_shape::name);
    return over == "node" ? n.name == g.node : n.labels.at(over) == other.labels.at(over);
  }

  bool company(const node_shape& n, const request& x) const {
    for (const auto& [key, g] : guests) {
      for (const auto& rule : x.apart)
        if (!rule.prefer && meant(rule, g.what) && share(n, g, rule.over))
          return false;
      for (const auto& rule : g.what.apart)
        if (!rule.prefer && meant(rule, x) && share(n, g, rule.over))
          return false;
      for (const auto& claim : x.claims)
        if (g.node == n.name && std::ranges::count(g.what.claims, claim))
          return false;
    }
    for (const auto& rule : x.near) {
      auto anywhere = false;
      auto here = false;
      for (const auto& [key, g] : guests)
        if (meant(rule, g.what)) {
          anywhere = true;
          here = here || share(n, g, rule.over);
        }
      if (!rule.prefer && !here && (anywhere || !meant(rule, x)))
        return false;
    }
    return true;
  }

  bool even(const node_shape& n, const request& x) const {
    for (const auto& rule : x.spread) {
      if (rule.prefer)
        continue;
      auto zones = std::map<std::string, std::int64_t>{};
      for (const auto& each : nodes)
        if (allows(each, x))
          zones.try_emplace(each.labels.at(rule.key), 0);
      auto counts = zones;
      for (const auto& each : nodes)
        counts[each.labels.at(rule.key)] += count(each.name, x.workload);
      auto least = std::numeric_limits<std::int64_t>::max();
      for (const auto& [zone, none] : zones)
        least = std::min(least, counts[zone]);
      if (counts[n.labels.at(rule.key)] + 1 - least > rule.max_skew)
        return false;
    }
    return true;
  }

  std::vector<std::string> open_to(const request& x) const {
    auto found = std::vector<std::string>{};
    for (const auto& n : nodes)
      if (allows(n, x) && room(n, x) && company(n, x) && even(n, x))
        found.push_back(n.name);
    std::ranges::sort(found);
    return found;
  }
};

request random_request(std::mt19937_64& chance) {
  const auto names = std::array<std::string, 5>{"a", "b", "c", "d", "e"};
  const auto roll = [&](std::uint64_t n) { return chance() % n; };
  const auto any = [&] { return names[roll(names.size())]; };
  auto x = need(any(), static_cast<std::int64_t>(roll(900)), static_cast<std::int64_t>(roll(900)));
  if (roll(3) == 0)
    x.need.gpu_milli = roll(2) ? static_cast<std::int64_t>(1 + roll(999)) : static_cast<std::int64_t>(1 + roll(2)) * 1000;
  if (roll(3) == 0)
    x.require["zone"] = "z" + std::to_string(roll(3));
  if (roll(2) == 0)
    x.labels.push_back("app=" + any());
  const auto somebody = [&] {
    const auto who = roll(3) ? any() : "app=" + any();
    return neighbour{who, roll(4) ? "node" : "zone", roll(3) == 0};
  };
  if (roll(4) == 0)
    x.apart.push_back(somebody());
  if (roll(6) == 0)
    x.near.push_back(somebody());
  if (roll(4) == 0)
    x.spread.push_back({"zone", static_cast<std::uint32_t>(1 + roll(2)), roll(3) == 0});
  if (roll(6) == 0)
    x.claims.push_back("port/80");
  if (roll(2))
    x.policy = "pack";
  return x;
}

} // namespace

SCENARIO("a request goes where it fits, and who fits nowhere learns why") {
  auto c = cluster{};
  for (auto i = 0; i < 7; ++i)
    c.set_node(shape("small-" + std::to_string(i), "a", 4000, 100));
  for (auto i = 0; i < 5; ++i)
    c.set_node(shape("other-" + std::to_string(i), "b", 4000, 10000));
  auto x = need("web", 100, 500);
  x.require["zone"] = "a";
  CHECK_FALSE(c.place(x));
  CHECK(c.why_not(x) == "12 nodes: 7 lack memory, 5 wrong zone");
  x.require["zone"] = "b";
  CHECK(c.place(x)->node == "other-0");
  CHECK(c.explain(x).scores.size() == 5);
}

SCENARIO("a share of a GPU comes from one device, the fullest that has room") {
  auto c = cluster{};
  c.set_node(shape("gpu", "a", 64000, 1 << 20, 2, "T4"));
  const auto first = need("a", 1, 1, 600);
  const auto second = need("b", 1, 1, 300);
  put(c, "a.0", first, *c.place(first));
  const auto found = c.place(second);
  CHECK(found->gpus == std::vector<std::uint32_t>{0});
  put(c, "b.0", second, *found);
  CHECK_FALSE(c.place(need("c", 1, 1, 2000)));
  CHECK(c.place(need("c", 1, 1, 1000))->gpus == std::vector<std::uint32_t>{1});
  auto model = need("c", 1, 1, 500);
  model.need.gpu_model = "G2|V100";
  CHECK_FALSE(c.place(model));
  model.need.gpu_model = "G2|T4";
  CHECK(c.place(model));
}

SCENARIO("a copy of a cluster lives on its own") {
  auto one = cluster{};
  one.set_node(shape("a", "z", 1000, 1000));
  one.set_node(shape("b", "z", 1000, 1000));
  for (const auto* key : {"w.0", "w.1", "w.2"})
    put(one, key, need("w", 100, 100), {"a", {}, 0});
  auto other = cluster{};
  {
    auto copy = one;
    CHECK(copy.release("w.0"));
    put(copy, "w.1", need("w", 500, 500), {"b", {}, 0});
    CHECK(one.free_on("a").cpu_milli == 700);
    CHECK(one.release("w.2"));
    copy.remove_node("a");
    copy.set_node(shape("a", "z", 2000, 1000));
    other = copy;
  }
  CHECK(other.free_on("a").cpu_milli == 1900);
  CHECK(other.free_on("b").cpu_milli == 500);
  CHECK(other.release("w.2"));
  CHECK(other.release("w.1"));
  CHECK(other.free_on("a").cpu_milli == 2000);
  CHECK(other.free_on("b").cpu_milli == 1000);
  CHECK(one.free_on("a").cpu_milli == 800);
}

SCENARIO("packing fills, balancing levels") {
  auto c = cluster{};
  c.set_node(shape("n1", "a", 4000, 4000));
  c.set_node(shape("n2", "a", 4000, 4000));
  auto x = need("web", 500, 500);
  put(c, "web.0", x, *c.place(x));
  CHECK(c.place(x)->node == "n2");
  auto y = need("db", 500, 500);
  y.policy = "pack";
  CHECK(c.place(y)->node == "n1");
}

SCENARIO("neighbours count over zones, by label, and on both sides") {
  auto c = cluster{};
  for (const auto* name : {"a1", "a2", "b1", "b2"})
    c.set_node(shape(name, std::string{name[0]}, 4000, 4000));
  auto db = need("db", 100, 100);
  db.labels = {"tier=data"};
  db.apart = {{"noisy", "zone"}};
  put(c, "db.0", db, {"a1", {}, 0});

  auto web = need("web", 100, 100);
  web.require["node"] = "b1";
  web.near = {{"tier=data", "zone"}};
  CHECK_FALSE(c.place(web));
  CHECK(c.explain(web).refusals.front().detail == "node: wants b1, has a1");
  CHECK(c.explain(web).refusals.at(2).detail == "tier=data is not in the same zone");
  web.require.clear();
  web.apart = {{"db"}};
  CHECK(c.place(web)->node == "a2");

  auto noisy = need("noisy", 100, 100);
  CHECK(c.place(noisy)->node == "b1");
  CHECK(c.explain(noisy).refusals.size() == 2);
  CHECK(c.explain(noisy).refusals.front().detail == "one in the same zone refuses to be with noisy");
  auto bare = cluster{};
  bare.set_node({.name = "nowhere", .capacity = {1000, 1000, 0, 0, "", {}}});
  // Who has no such label shares it with nobody.
  CHECK(bare.place(db));
  web.near = {{"web", "zone"}};
  CHECK(bare.place(web));
}

SCENARIO("wishes make places better and forbid none") {
  auto c = cluster{};
  for (const auto* name : {"a1", "a2", "b1", "b2"})
    c.set_node(shape(name, std::string{name[0]}, 4000, 4000));
  const auto there = [&](const request& x) { return c.place(x)->node; };
  put(c, "db.0", need("db", 100, 100), {"b1", {}, 0});

  auto near = need("web", 100, 100);
  near.near = {{"db", "zone", true}};
  CHECK(there(near) == "b2");
  near.near = {{"nobody", "zone", true}};
  CHECK(there(near) == "a1");
  auto apart = need("web", 100, 100);
  apart.apart = {{"db", "zone", true}};
  CHECK(there(apart) == "a1");
  for (const auto* closed : {"a1", "a2"})
    put(c, closed, need("full", 4000, 4000), {closed, {}, 0});
  CHECK(there(apart) == "b2");
  for (const auto* open : {"a1", "a2"})
    c.release(open);

  auto even = need("even", 100, 100);
  even.policy = "pack";
  even.spread = {{"zone", 1, true}};
  auto zones = std::string{};
  for (auto i = 0; i < 6; ++i) {
    const auto found = *c.place(even);
    zones += found.node[0];
    put(c, "even." + std::to_string(i), even, found);
  }
  CHECK(std::ranges::count(zones, 'a') == 3);
  even.require["zone"] = "a";
  CHECK(c.place(even));
}

SCENARIO("nodes where the fewest would have to make room come first, and of them those of the least importance") {
  auto c = cluster{};
  for (const auto* name : {"n1", "n2", "n3", "n4"})
    c.set_node(shape(name, "a", 4000, 4000));
  const auto put_at = [&](const std::string& key, const std::string& node, std::int32_t priority, std::int64_t cpu) {
    auto x = hold{node, key, {}, {}, {}, {}};
    x.need.cpu_milli = cpu;
    x.priority = priority;
    c.take(key, x);
  };
  put_at("a", "n1", 5, 3000);
  put_at("b", "n2", 3, 2000);
  put_at("c", "n2", 7, 2000);
  put_at("d", "n3", 9, 4000);
  auto x = request{};
  x.need.cpu_milli = 2000;
  const auto listed = [&](std::int32_t priority, std::size_t victims_max, std::size_t from, std::size_t count) {
    auto text = std::string{};
    for (const auto& each : c.yielding(x, priority, victims_max, from, count))
      text += fmt::format("{}:{} ", each.name, each.victims);
    return text;
  };
  CHECK(listed(9, 8, 0, 8) == "n2:1 n1:1 ");
  CHECK(listed(10, 8, 0, 8) == "n2:1 n1:1 n3:1 ");
  CHECK(listed(10, 8, 1, 1) == "n1:1 ");
  CHECK(listed(10, 8, 3, 9).empty());
  CHECK(listed(3, 8, 0, 8).empty());
  // What has changed since then counts.
  c.release("b");
  put_at("b", "n2", 3, 1000);
  put_at("e", "n4", 1, 1500);
  put_at("f", "n4", 1, 1500);
  put_at("g", "n2", 4, 1000);
  CHECK(listed(9, 8, 0, 8) == "n4:1 n2:1 n1:1 ");
  x.need.cpu_milli = 3500;
  CHECK(listed(8, 8, 0, 8) == "n1:1 n4:2 n2:3 ");
  CHECK(listed(8, 2, 0, 8) == "n1:1 n4:2 ");
  // Not even all of them would do.
  CHECK(listed(7, 8, 0, 8) == "n1:1 n4:2 ");
  c.remove_node("n1");
  CHECK(listed(8, 8, 0, 8) == "n4:2 n2:3 ");
}

SCENARIO("every decision is one that a plain reference allows, and the best of them") {
  for (auto seed = 1u; seed <= 40; ++seed) {
    CAPTURE(seed);
    auto chance = std::mt19937_64{seed};
    auto plain = plain_cluster{};
    auto c = cluster{};
    for (auto i = 0u; i < 3 + chance() % 80; ++i) {
      auto n = shape("n" + std::to_string(i), "z" + std::to_string(chance() % 3), 500 + std::int64_t(chance() % 3000),
                     500 + std::int64_t(chance() % 3000), chance() % 3 ? 0 : std::int64_t(chance() % 4));
      n.state = chance() % 8 ? node_state::ready : node_state::lost;
      c.set_node(n);
      plain.nodes.push_back(n);
    }
    for (auto step = 0; step < 150; ++step) {
      if (!plain.guests.empty() && chance() % 4 == 0) {
        const auto gone = std::next(plain.guests.begin(), static_cast<long>(chance() % plain.guests.size()))->first;
        plain.guests.erase(gone);
        c.release(gone);
        continue;
      }
      if (chance() % 8 == 0) {
        auto& changed = plain.nodes[chance() % plain.nodes.size()];
        changed.state = chance() % 3 ? node_state::ready : node_state::lost;
        // What is held there stays held, whether it changes or goes for a moment.
        if (chance() % 2)
          c.remove_node(changed.name);
        c.set_node(changed);
      }
      const auto x = random_request(chance);
      const auto open = plain.open_to(x);
      const auto found = c.place(x);
      const auto why = c.explain(x);
      REQUIRE(c.why_not(x) == why.summary);
      REQUIRE(found.has_value() == !open.empty());
      REQUIRE(why.scores.size() == open.size());
      REQUIRE(why.scores.size() + why.refusals.size() == plain.nodes.size());
      if (!found)
        continue;
      REQUIRE(std::ranges::binary_search(open, found->node));
      REQUIRE(why.scores.front().node == found->node);
      const auto key = x.workload + "." + std::to_string(step);
      put(c, key, x, *found);
      plain.guests[key] = {found->node, x, found->gpus};
      REQUIRE(c.free_on(found->node).cpu_milli >= 0);
      REQUIRE(c.free_on(found->node).memory_bytes >= 0);
      const auto gpus = c.gpus_on(found->node);
      REQUIRE(std::ranges::all_of(gpus, [](auto free) { return free >= 0; }));
      REQUIRE(gpus == plain.devices(*std::ranges::find(plain.nodes, found->node, &node_shape::name)));
    }
  }
}
