#include "actors/scheduler/fragmentation.hpp"

#include "actors/scheduler/placement.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

constexpr auto gib = std::int64_t{1} << 30;

decision put(cluster& c, const std::string& name, std::int64_t cpu, std::int64_t gpu) {
  auto x = request{};
  x.workload = name;
  x.need = {cpu, gib, 0, gpu, "", {}};
  const auto where = c.place(x);
  REQUIRE(where);
  c.take(name, {where->node, name, x.need, where->gpus, {}, {}});
  return *where;
}

} // namespace

SCENARIO("a hole that no expected share fits into is worth nothing") {
  const auto worth = worth_of_shares(std::array{share_demand{810, 1}});
  CHECK(worth[0] == 0);
  CHECK(worth[809] == 0);
  CHECK(worth[810] == doctest::Approx(worth[1000]));
}

SCENARIO("shares that fill a device together are worth it together") {
  const auto worth = worth_of_shares(std::array{share_demand{500, 1}});
  CHECK(worth[499] == 0);
  CHECK(worth[500] == doctest::Approx(0.5));
  CHECK(worth[1000] == doctest::Approx(1));
  // 810 leaves room for 190 of which there are enough: the small ones have a price, and both make one device.
  const auto both = worth_of_shares(std::array{share_demand{810, 81}, share_demand{190, 19}});
  CHECK(both[1000] == doctest::Approx(1).epsilon(0.02));
  CHECK(both[810] + both[190] == doctest::Approx(both[1000]).epsilon(0.02));
}

SCENARIO("without demand every thousandth is worth the same") {
  const auto worth = worth_of_shares({});
  CHECK(worth[250] == doctest::Approx(0.25));
  CHECK(worth[1000] == doctest::Approx(1));
}

SCENARIO("devices are worth more with the cores that they need") {
  const auto mix = fragmentation{{{8000, gib, 1000, "", 1}}};
  const auto devices = std::vector<std::int64_t>{1000, 1000};
  const auto any = mix.model_bit("T4");
  CHECK(mix.value(16000, 8 * gib, devices, any) > mix.value(4000, 8 * gib, devices, any));
  CHECK(mix.value(16000, 8 * gib, devices, any) > mix.value(16000, 0, devices, any));
}

SCENARIO("a model that nobody asks for is worth less") {
  const auto mix = fragmentation{{{8000, gib, 1000, "T4|G2", 1}}};
  const auto devices = std::vector<std::int64_t>{1000};
  CHECK(mix.value(16000, 8 * gib, devices, mix.model_bit("G2")) >
        mix.value(16000, 8 * gib, devices, mix.model_bit("A10")));
}

SCENARIO("the fragmentation policy keeps devices whole for those who are expected to need them whole") {
  auto c = cluster{"fragmentation"};
  for (const auto* name : {"n1", "n2"})
    c.set_node({name, {}, {64000, 64 * gib, 0, 2000, "T4", {}}, {}, true, node_state::ready});
  c.expect({{8000, gib, 2000, "", 3}, {8000, gib, 500, "", 2}, {8000, gib, 0, "", 5}});
  const auto first = put(c, "a", 8000, 500);
  const auto second = put(c, "b", 8000, 500);
  CHECK(second.node == first.node);
  CHECK(second.gpus == first.gpus);
  CHECK(put(c, "c", 8000, 2000).node != first.node);
}

SCENARIO("the parts of what is lost may be weighed otherwise, and an explanation adds up") {
  auto c = cluster{};
  auto weights = *policy_weights("fragmentation");
  weights[usable] = -0.5f;
  weights[starved] = 2;
  weights[idle] = 0.5f;
  c.define_policy("mine", weights);
  for (const auto* name : {"n1", "n2", "n3"})
    c.set_node({name, {}, {24000, 64 * gib, 0, 3000, "T4", {}}, {}, true, node_state::ready});
  c.expect({{8000, gib, 1000, "", 3}, {4000, gib, 300, "", 2}});
  put(c, "a", 10000, 300);
  put(c, "b", 4000, 2000);
  for (const auto gpu : {0, 300, 1000, 2000}) {
    auto x = request{};
    x.workload = "c";
    x.policy = "mine";
    x.need = {6000, gib, 0, gpu, "", {}};
    const auto scores = c.explain(x).scores;
    REQUIRE(scores.size() > 1);
    for (const auto& each : scores) {
      auto sum = 0.0;
      for (auto i = std::size_t{0}; i < feature_count; ++i)
        sum += static_cast<double>(weights[i] * each.values[i]);
      CAPTURE(gpu);
      CAPTURE(each.node);
      CHECK(sum == doctest::Approx(each.score).epsilon(0.0001));
    }
    // Without these weights another sum: they count.
    x.policy = "fragmentation";
    CHECK(c.explain(x).scores.front().score != scores.front().score);
  }
}

SCENARIO("what a request would lose is what a fresh computation says, however the cluster came to be") {
  auto chance = std::uint64_t{7};
  const auto roll = [&](std::uint64_t n) {
    chance = chance * 6364136223846793005 + 1442695040888963407;
    return (chance >> 33) % n;
  };
  const auto mix =
      std::vector<expected_request>{{4000, gib, 300, "", 3}, {8000, gib, 700, "", 2}, {9000, gib, 1000, "", 5}};
  const auto nodes = [&] {
    auto c = cluster{"fragmentation"};
    for (auto i = 0; i < 12; ++i)
      c.set_node(
          {"n" + std::to_string(i), {}, {40000, 64 * gib, 0, i % 4 * 1000, "T4", {}}, {}, true, node_state::ready});
    c.expect(mix);
    return c;
  };
  auto old = nodes();
  auto held = std::map<std::string, hold>{};
  for (auto step = 0; step < 400; ++step) {
    if (!held.empty() && roll(3) == 0) {
      const auto gone = std::next(held.begin(), static_cast<long>(roll(held.size())));
      old.release(gone->first);
      held.erase(gone);
      continue;
    }
    auto x = request{};
    x.workload = "w" + std::to_string(step);
    const auto kind = mix[roll(mix.size())];
    x.need = {kind.cpu_milli, kind.memory_bytes, 0, roll(4) == 0 ? 0 : kind.gpu_milli, "", {}};
    auto fresh = nodes();
    for (const auto& [key, what] : held)
      fresh.take(key, what);
    const auto where = old.place(x);
    const auto again = fresh.place(x);
    REQUIRE(where.has_value() == again.has_value());
    if (!where)
      continue;
    REQUIRE(where->node == again->node);
    REQUIRE(where->gpus == again->gpus);
    REQUIRE(old.explain(x).scores.front().node == where->node);
    old.take(x.workload, held[x.workload] = {where->node, x.workload, x.need, where->gpus, {}, {}});
  }
}
