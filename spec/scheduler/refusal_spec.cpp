#include "actors/scheduler/placement.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace novacron::scheduler;

namespace {

struct dice {
  std::mt19937_64 chance;

  bool one_in(unsigned n) { return chance() % n == 0; }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(chance() % static_cast<std::uint64_t>(n)); }
  std::string of(const char* word, std::int64_t n) { return word + std::to_string(below(n)); }

  node_shape node(std::int64_t number) {
    auto x = node_shape{};
    x.name = "n" + std::to_string(number);
    x.labels = {{"zone", of("z", 3)}};
    if (one_in(2))
      x.labels["disk"] = of("d", 2);
    x.capacity = {500 + below(3000), 500 + below(3000), 100 + below(900), 1000 * below(3), of("m", 2), {}};
    if (one_in(3))
      x.capacity.extra["port"] = below(4);
    if (one_in(4))
      x.kinds = {of("kind", 2)};
    x.hosts = !one_in(10);
    x.state = one_in(8) ? node_state::drained : one_in(8) ? node_state::lost : node_state::ready;
    if (one_in(4))
      x.taints = {{of("t", 2), "", one_in(2) ? taint_effect::refuse : taint_effect::avoid}};
    return x;
  }

  request wish() {
    auto x = request{};
    x.workload = of("w", 6);
    x.kind = one_in(2) ? of("kind", 2) : "";
    x.need = {below(3000), below(3000), below(800), one_in(2) ? 0 : 500 * (1 + below(4)), one_in(2) ? of("m", 3) : "",
              {}};
    if (one_in(4))
      x.need.extra["port"] = 1 + below(2);
    if (one_in(4))
      x.require = {{one_in(2) ? "zone" : "node", one_in(2) ? of("z", 4) : of("n", 40)}};
    if (one_in(4))
      x.where = {{"disk", label_rule::relation::in, {of("d", 3)}}};
    if (one_in(3))
      x.tolerate = {{of("t", 2), "", std::string{to_string(taint_effect::refuse)}}};
    if (one_in(5))
      x.near = {{of("w", 6), one_in(2) ? "node" : "zone", one_in(3)}};
    if (one_in(5))
      x.apart = {{one_in(2) ? of("w", 6) : "tier=" + of("", 2), one_in(2) ? "node" : "disk", one_in(3)}};
    if (one_in(5))
      x.claims = {of("port/", 2)};
    if (one_in(5))
      x.spread = {{one_in(2) ? "zone" : "disk", 1, one_in(3)}};
    if (one_in(3))
      x.labels = {"tier=" + of("", 2)};
    return x;
  }
};

} // namespace

SCENARIO("counting the nodes by what refuses them says the same as looking at each of them") {
  for (auto seed = 1u; seed <= 60; ++seed) {
    CAPTURE(seed);
    auto luck = dice{std::mt19937_64{seed}};
    auto all = cluster{};
    const auto nodes = 3 + luck.below(140);
    for (auto i = 0; i < nodes; ++i)
      all.set_node(luck.node(i));
    auto wishes = std::vector<request>{};
    for (auto i = 0; i < 6; ++i)
      wishes.push_back(luck.wish());
    for (auto step = 0; step < 60; ++step) {
      const auto key = luck.of("key", 80);
      const auto x = luck.wish();
      if (luck.one_in(3))
        all.release(key);
      else if (luck.one_in(6))
        all.set_node(luck.node(luck.below(nodes + 5)));
      else if (luck.one_in(12))
        all.remove_node(luck.of("n", nodes));
      else if (luck.one_in(8))
        all.take(key, {luck.of("n", nodes), "", {luck.below(2000), luck.below(2000)}, {}, {}, {}, {}, 0, "kept"});
      else if (const auto where = all.place(x))
        all.take(key, hold_of(x, *where));
      // The same ones again and again: what was counted before has to follow every change.
      const auto& asked = luck.one_in(4) ? x : wishes[static_cast<std::size_t>(luck.below(6))];
      REQUIRE(all.why_not(asked) == all.explain(asked).summary);
    }
  }
}
