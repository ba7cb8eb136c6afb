#include "actors/scheduler/quota.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

amount cores(std::int64_t cpu, std::int64_t gpu = 0) {
  return {cpu, cpu, 0, gpu, "", {}};
}

} // namespace

SCENARIO("a tenant gets what it may have, to the last thousandth") {
  auto x = quotas{};
  x.allow("a", allowance{{{"cpu", 1000}, {"fpga", 1}}, 1});
  CHECK(x.exceeded("a", cores(1000)) == "");
  x.take("a", cores(1000));
  CHECK(x.exceeded("a", cores(1)) == "cpu");
  CHECK(x.exceeded("b", cores(1000000)) == "");
  auto device = cores(0);
  device.extra["fpga"] = 2;
  CHECK(x.exceeded("a", device) == "fpga");
  x.release("a", cores(400));
  CHECK(x.exceeded("a", cores(400)) == "");
  x.allow("a", allowance{{{"cpu", 100}}, 1});
  CHECK(x.exceeded("a", cores(1)) == "cpu");
  CHECK(x.exceeded("a", cores(0, 1000)) == "");
  x.allow("a", std::nullopt);
  CHECK(x.exceeded("a", cores(5000)) == "");
}

SCENARIO("whose greatest share is the smallest is next") {
  auto x = quotas{};
  x.set_capacity({9000, 18000, 0, 0, "", {}});
  // The example of the paper on dominant resource fairness: 3 tasks of the one, 2 of the other.
  const auto a = amount{1000, 4000, 0, 0, "", {}};
  const auto b = amount{3000, 1000, 0, 0, "", {}};
  auto count = std::map<std::string, int>{};
  for (auto free = std::pair{9000, 18000};;) {
    const auto who = *x.next({"a", "b"});
    const auto& need = who == "a" ? a : b;
    if (free.first < need.cpu_milli || free.second < need.memory_bytes)
      break;
    free.first -= static_cast<int>(need.cpu_milli);
    free.second -= static_cast<int>(need.memory_bytes);
    x.take(who, need);
    ++count[who];
  }
  CHECK(count["a"] == 3);
  CHECK(count["b"] == 2);
  CHECK_FALSE(x.next({}));
}

SCENARIO("in a hundred thousand random cases no limit is exceeded and nobody waits beyond his turn") {
  auto chance = std::mt19937_64{3};
  const auto roll = [&](std::uint64_t n) { return static_cast<std::int64_t>(chance() % n); };
  auto cases = 0;
  for (auto world = 0; world < 500; ++world) {
    auto x = quotas{};
    x.set_capacity(cores(20000, 8000));
    auto limits = std::map<std::string, std::int64_t>{};
    const auto tenants = std::vector<std::string>{"a", "b", "c", "d"};
    for (const auto& who : tenants) {
      limits[who] = 1000 * (1 + roll(8));
      x.allow(who, allowance{{{"cpu", limits[who]}, {"gpu", 3000}}, 1});
    }
    auto held = std::vector<std::pair<std::string, amount>>{};
    auto waits = std::map<std::string, int>{};
    for (auto step = 0; step < 200; ++step, ++cases) {
      if (!held.empty() && roll(3) == 0) {
        std::swap(held[static_cast<std::size_t>(roll(held.size()))], held.back());
        x.release(held.back().first, held.back().second);
        held.pop_back();
        continue;
      }
      const auto need = cores(100 * (1 + roll(10)), roll(2) * 500);
      auto able = std::vector<std::string>{};
      for (const auto& who : tenants)
        if (x.exceeded(who, need).empty())
          able.push_back(who);
      const auto who = x.next(able);
      REQUIRE(who.has_value() == !able.empty());
      if (!who)
        continue;
      for (const auto& other : able)
        REQUIRE(x.share(*who) <= x.share(other));
      x.take(*who, need);
      held.emplace_back(*who, need);
      REQUIRE(x.used(*who, "cpu") <= limits[*who]);
      REQUIRE(x.used(*who, "gpu") <= 3000);
    }
    for (const auto& [who, need] : held)
      x.release(who, need);
    for (const auto& who : tenants) {
      REQUIRE(x.used(who, "cpu") == 0);
      REQUIRE(x.share(who) == 0);
    }
  }
  CHECK(cases == 100000);
}
