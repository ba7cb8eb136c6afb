#include "actors/scheduler/function_pool.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::scheduler;
using namespace std::chrono_literals;

namespace {

constexpr auto dawn = instant{} + 1h;

function_pool pool_of(pool_rules rules = {}, unsigned instances = 0) {
  return {rules, instances, dawn};
}

/// So many calls come; how many are let in.
int arrive(function_pool& into, int count, instant now = dawn) {
  static auto last = function_pool::call{0};
  auto taken = 0;
  for (auto i = 0; i < count; ++i)
    taken += into.arrive(++last, now);
  return taken;
}

std::vector<std::pair<function_pool::call, unsigned>> all_next(function_pool& of, instant now = dawn) {
  auto all = std::vector<std::pair<function_pool::call, unsigned>>{};
  while (const auto one = of.next(now))
    all.push_back(*one);
  return all;
}

std::vector<unsigned> places(function_pool& of, instant now = dawn) {
  auto all = std::vector<unsigned>{};
  for (const auto& [which, ordinal] : all_next(of, now))
    all.push_back(ordinal);
  return all;
}

} // namespace

SCENARIO("a function that nobody calls needs no instance, unless some are to be there always") {
  CHECK(pool_of().wanted(dawn) == 0);
  CHECK(pool_of({.instances_min = 2}).wanted(dawn) == 2);
  CHECK_FALSE(pool_of().wake());
}

SCENARIO("as many instances are wanted as the calls need that run and wait") {
  auto pool = pool_of({.concurrency = 4, .instances_max = 3});
  CHECK(arrive(pool, 1) == 1);
  CHECK(pool.wanted(dawn) == 1);
  arrive(pool, 3);
  CHECK(pool.wanted(dawn) == 1);
  arrive(pool, 1);
  CHECK(pool.wanted(dawn) == 2);
  arrive(pool, 50);
  CHECK(pool.wanted(dawn) == 3);
}

SCENARIO("a call goes to the lowest ordinal that is free, and to none beyond what is wanted") {
  auto pool = pool_of({.concurrency = 2});
  pool.ready({2, 0, 1});
  arrive(pool, 3);
  CHECK(places(pool) == std::vector<unsigned>{0, 0, 1});
  auto single = pool_of();
  // Ordinal 3 is left over from a busier time, and about to end.
  single.ready({3});
  arrive(single, 1);
  CHECK(places(single).empty());
  CHECK(single.waiting() == 1);
  single.ready({0, 3});
  CHECK(places(single) == std::vector<unsigned>{0});
}

SCENARIO("calls are taken in the order in which they came") {
  auto pool = pool_of();
  REQUIRE(pool.arrive(11, dawn));
  REQUIRE(pool.arrive(12, dawn + 1ms));
  pool.ready({0});
  CHECK(pool.next(dawn + 2ms)->first == 11);
  CHECK_FALSE(pool.next(dawn + 2ms));
  pool.ended(11, dawn + 3ms);
  CHECK(pool.next(dawn + 3ms)->first == 12);
}

SCENARIO("no more calls wait than may, and what is free takes one that need not wait") {
  auto pool = pool_of({.instances_max = 1, .waiting_max = 2});
  CHECK(arrive(pool, 5) == 2);
  pool.ready({0});
  CHECK(places(pool).size() == 1);
  CHECK(arrive(pool, 5) == 1);
  auto strict = pool_of({.concurrency = 2, .instances_max = 1, .waiting_max = 1});
  strict.ready({0});
  CHECK(arrive(strict, 2) == 2);
  CHECK(places(strict).size() == 2);
  CHECK(arrive(strict, 2) == 1);
}

SCENARIO("the greatest need of the last minute keeps its instances, and time alone lets them go") {
  auto pool = pool_of({.keep_alive = 60s});
  pool.ready({0, 1, 2});
  arrive(pool, 3);
  const auto running = all_next(pool);
  REQUIRE(running.size() == 3);
  pool.ended(running[0].first, dawn + 10s);
  pool.ended(running[1].first, dawn + 20s);
  pool.ended(running[2].first, dawn + 30s);
  CHECK(pool.wanted(dawn + 30s) == 3);
  REQUIRE(pool.wake());
  CHECK(*pool.wake() == dawn + 70s);
  CHECK(pool.wanted(dawn + 70s - 1ns) == 3);
  CHECK(pool.wanted(dawn + 70s) == 2);
  CHECK(pool.wanted(dawn + 80s) == 1);
  CHECK(pool.wanted(dawn + 90s - 1ns) == 1);
  CHECK(pool.wanted(dawn + 90s) == 0);
  CHECK_FALSE(pool.wake());
}

SCENARIO("a new leader lets what it finds stay as long as if it had just been needed") {
  auto pool = pool_of({.instances_max = 20, .keep_alive = 60s}, 7);
  CHECK(pool.wanted(dawn + 59s) == 7);
  CHECK(pool.wanted(dawn + 60s) == 0);
}

SCENARIO("a call that an instance did not begin comes first again, and not to that instance at once") {
  auto pool = pool_of();
  pool.ready({0});
  REQUIRE(pool.arrive(21, dawn));
  REQUIRE(pool.arrive(22, dawn));
  CHECK(pool.next(dawn)->first == 21);
  pool.returned(21, dawn);
  CHECK_FALSE(pool.next(dawn));
  REQUIRE(pool.wake());
  const auto rested = *pool.wake();
  CHECK(rested > dawn);
  CHECK(rested <= dawn + 1s);
  CHECK(pool.next(rested)->first == 21);
  // Another takes it without that.
  pool.returned(21, rested);
  pool.ready({0, 1});
  CHECK(pool.next(rested) == std::pair{function_pool::call{21}, 1u});
}

SCENARIO("an instance that lost a call gets none for a moment") {
  auto pool = pool_of();
  pool.ready({0});
  REQUIRE(pool.arrive(51, dawn));
  REQUIRE(pool.next(dawn));
  pool.lost(51, dawn);
  CHECK(pool.running() == 0);
  REQUIRE(pool.arrive(52, dawn));
  CHECK_FALSE(pool.next(dawn));
  CHECK(pool.next(*pool.wake())->first == 52);
}

SCENARIO("a call waits for as long as there is patience") {
  auto pool = pool_of({.patience = 30s});
  REQUIRE(pool.arrive(31, dawn));
  REQUIRE(pool.arrive(32, dawn + 1s));
  CHECK(*pool.wake() == dawn + 30s);
  CHECK(pool.give_up(dawn + 30s - 1ns).empty());
  CHECK(pool.give_up(dawn + 30s) == std::vector<function_pool::call>{31});
  CHECK(pool.waiting() == 1);
  // What it needed counts on: whoever comes next finds an instance.
  CHECK(pool.wanted(dawn + 30s) == 2);
}

SCENARIO("what ends twice, or was never begun, changes nothing") {
  auto pool = pool_of();
  pool.ended(99, dawn);
  pool.returned(99, dawn);
  pool.ready({0});
  REQUIRE(pool.arrive(41, dawn));
  REQUIRE(pool.next(dawn));
  pool.ended(41, dawn);
  pool.ended(41, dawn);
  pool.returned(41, dawn);
  CHECK(pool.running() == 0);
  CHECK(pool.waiting() == 0);
  REQUIRE(pool.arrive(42, dawn));
  CHECK(pool.next(dawn));
}

SCENARIO("whatever happens, no instance has more calls than it takes and no call is in two places") {
  for (auto seed = 0u; seed < 50; ++seed) {
    CAPTURE(seed);
    auto chance = std::mt19937{seed};
    const auto pick = [&](unsigned below) { return static_cast<unsigned>(chance() % below); };
    const auto rules = pool_rules{
        .concurrency = 1 + pick(3), .instances_max = 1 + pick(4), .waiting_max = 1 + pick(6), .keep_alive = 5s};
    auto pool = pool_of(rules);
    auto running = std::map<function_pool::call, unsigned>{};
    auto now = dawn;
    auto last = function_pool::call{0};
    for (auto step = 0; step < 400; ++step) {
      now += std::chrono::milliseconds{pick(200)};
      if (pick(3) == 0) {
        auto ordinals = std::vector<unsigned>{};
        for (auto i = 0u; i < 4; ++i)
          if (pick(2))
            ordinals.push_back(i);
        pool.ready(ordinals);
      }
      if (pick(2))
        (void)pool.arrive(++last, now);
      for (const auto& [which, ordinal] : all_next(pool, now)) {
        REQUIRE(running.emplace(which, ordinal).second);
        const auto there = std::ranges::count_if(running, [o = ordinal](const auto& x) { return x.second == o; });
        REQUIRE(there <= rules.concurrency);
      }
      if (!running.empty() && pick(2)) {
        const auto one = running.begin()->first;
        running.erase(one);
        if (pick(4) == 0)
          pool.returned(one, now);
        else
          pool.ended(one, now);
      }
      REQUIRE(pool.running() == running.size());
      REQUIRE(pool.wanted(now) <= rules.instances_max);
    }
    for (const auto& [which, ordinal] : running)
      pool.ended(which, now);
    pool.give_up(now + 1h);
    CHECK(pool.wanted(now + 1h + 5s) == 0);
  }
}
