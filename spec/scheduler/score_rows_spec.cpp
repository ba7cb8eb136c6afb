#include "actors/scheduler/placement.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

/// A cluster that lives: nodes come in any order, change and go, room is taken and given back. All that it knows is
/// also kept plainly, so that a cluster made from nothing can be asked the same.
struct life {
  std::mt19937_64 chance;
  cluster old;
  std::map<std::string, node_shape> nodes;
  std::map<std::string, std::vector<std::string>> images;
  std::map<std::string, hold> holds;
  std::uint64_t next = 0;
  /// Few kinds of nodes and requests make many equals, and ask for the same scores again and again.
  bool alike = false;
  std::uint64_t names = 100;

  std::uint64_t roll(std::uint64_t n) { return chance() % n; }

  std::vector<std::string> kinds() {
    return roll(4) ? std::vector<std::string>{} : std::vector<std::string>{roll(2) ? "vm" : "batch"};
  }
  std::string kind() {
    constexpr auto all = std::array<const char*, 4>{"", "", "vm", "batch"};
    return all[roll(all.size())];
  }

  node_shape shape(const std::string& name) {
    if (alike)
      return {name,
              {{"zone", "z" + std::to_string(roll(3))}},
              {500 + 250 * std::int64_t(roll(3)), 1000, 0, 1000, "T4", {}},
              kinds(),
              true,
              node_state::ready};
    return {name,
            {{"zone", "z" + std::to_string(roll(3))}},
            {500 * (2 + std::int64_t(roll(8))),
             500 * (2 + std::int64_t(roll(8))),
             1000,
             std::int64_t(roll(3)) * 1000,
             roll(2) ? "T4" : "G2",
             {{"fpga", std::int64_t(roll(3))}}},
            kinds(),
            true,
            roll(10) ? node_state::ready : node_state::drained};
  }

  request wanted_alike() {
    auto x = request{};
    x.workload = "w" + std::to_string(roll(3));
    x.kind = kind();
    x.need = {250, 250 * std::int64_t(roll(2)), 0, roll(4) ? 0 : 500, "", {}};
    if (roll(3) == 0)
      x.require["zone"] = "z" + std::to_string(roll(3));
    return x;
  }

  request wanted() {
    if (alike)
      return wanted_alike();
    constexpr auto policies = std::array<const char*, 4>{"", "balance", "pack", "fragmentation"};
    auto x = request{};
    x.workload = "w" + std::to_string(roll(6));
    x.kind = kind();
    x.need = {250 * std::int64_t(roll(4)), 250 * std::int64_t(roll(4)), 0, 0, "", {}};
    if (roll(3) == 0)
      x.need.gpu_milli = roll(2) ? 1000 : 100 * std::int64_t(1 + roll(9));
    if (roll(8) == 0)
      x.need.gpu_model = "G2|A10";
    if (roll(8) == 0)
      x.need.extra["fpga"] = 1;
    x.policy = policies[roll(policies.size())];
    if (roll(4) == 0)
      x.require["zone"] = "z" + std::to_string(roll(3));
    if (roll(4) == 0)
      x.prefer["zone"] = "z" + std::to_string(roll(3));
    if (roll(8) == 0)
      x.prefer["node"] = "n" + std::to_string(roll(names));
    if (roll(3) == 0)
      x.image = "i" + std::to_string(roll(3));
    if (roll(6) == 0)
      x.apart.push_back(x.workload);
    if (roll(6) == 0)
      x.spread.push_back({"zone", 1});
    if (roll(6) == 0)
      x.avoid.push_back("n" + std::to_string(roll(names)));
    if (roll(6) == 0)
      x.home = "n" + std::to_string(roll(names));
    return x;
  }

  void change() {
    const auto name = "n" + std::to_string(roll(names));
    switch (roll(8)) {
      case 0: old.set_node(nodes[name] = shape(name)); break;
      case 1:
        old.remove_node(name);
        nodes.erase(name);
        images.erase(name);
        break;
      case 2:
        if (nodes.contains(name))
          old.set_images(name, images[name] = {"i" + std::to_string(roll(3))});
        break;
      default:
        if (!holds.empty()) {
          const auto gone = std::next(holds.begin(), static_cast<long>(roll(holds.size())));
          old.release(gone->first);
          holds.erase(gone);
        }
    }
  }

  cluster again(const std::vector<expected_request>& mix) const {
    auto fresh = cluster{};
    fresh.expect(mix);
    for (const auto& [name, x] : nodes)
      fresh.set_node(x);
    for (const auto& [name, x] : images)
      fresh.set_images(name, x);
    for (const auto& [key, x] : holds)
      fresh.take(key, x);
    return fresh;
  }
};

} // namespace

SCENARIO("a cluster decides by what it is, not by how it came to be") {
  const auto mix =
      std::vector<expected_request>{{250, 250, 1000, "", 3}, {250, 0, 300, "G2", 2}, {500, 250, 700, "", 1}};
  auto placed = 0;
  for (auto seed = 1u; seed <= 12; ++seed) {
    CAPTURE(seed);
    auto x = life{std::mt19937_64{seed}, cluster{}, {}, {}, {}, 0, seed % 2 == 0, seed % 2 == 0 ? 400u : 100u};
    x.old.expect(mix);
    for (auto i = std::uint64_t{0}; i < x.names; ++i) {
      const auto name = "n" + std::to_string(x.roll(x.names));
      x.old.set_node(x.nodes[name] = x.shape(name));
    }
    for (auto step = 0; step < 150; ++step) {
      CAPTURE(step);
      if (x.roll(3) == 0)
        x.change();
      const auto wanted = x.wanted();
      const auto found = x.old.place(wanted);
      const auto fresh = x.again(mix).place(wanted);
      REQUIRE(found.has_value() == fresh.has_value());
      if (!found)
        continue;
      ++placed;
      REQUIRE(found->node == fresh->node);
      REQUIRE(found->gpus == fresh->gpus);
      REQUIRE(found->score == fresh->score);
      // And by what it says when it is asked about each node.
      const auto best = x.old.explain(wanted).scores.front();
      REQUIRE(best.node == found->node);
      REQUIRE(best.score == found->score);
      const auto key = "k" + std::to_string(x.next++);
      x.old.take(key, x.holds[key] = {found->node, wanted.workload, wanted.need, found->gpus, {}, wanted.apart});
    }
  }
  CHECK(placed > 1000);
}

SCENARIO("among equals the first name wins, in whatever order nodes came") {
  auto c = cluster{};
  for (const auto* name : {"n10", "n2", "n1", "n30"})
    c.set_node({name, {}, {1000, 1000, 0, 0, "", {}}, {}, true, node_state::ready});
  auto x = request{};
  x.workload = "w";
  x.need = {1000, 1000, 0, 0, "", {}};
  for (const auto* name : {"n1", "n10", "n2", "n30"}) {
    const auto found = c.place(x);
    REQUIRE(found);
    CHECK(found->node == name);
    c.take(name, {found->node, "w", x.need, {}, {}, {}});
  }
  CHECK_FALSE(c.place(x));
}

SCENARIO("amounts that only exact numbers tell apart are told apart") {
  auto c = cluster{};
  const auto large = std::int64_t{1} << 40;
  c.set_node({"a", {}, {1000, large, 0, 0, "", {}}, {}, true, node_state::ready});
  c.set_node({"b", {}, {1000, large + 1, 0, 0, "", {}}, {}, true, node_state::ready});
  auto x = request{};
  x.workload = "w";
  x.need = {10, large + 1, 0, 0, "", {}};
  CHECK(c.place(x)->node == "b");
  x.need.memory_bytes = large + 2;
  CHECK_FALSE(c.place(x));
}
