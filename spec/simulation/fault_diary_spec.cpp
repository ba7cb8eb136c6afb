#include "actors/simulation/busiest_second.hpp"
#include "actors/simulation/fault_diary.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <initializer_list>

using namespace novacron::simulation;
using namespace std::chrono_literals;

namespace {

host_set hosts(std::initializer_list<host_number> all) {
  auto found = host_set{};
  for (const auto x : all)
    found.add(x);
  return found;
}

} // namespace

SCENARIO("a fault is at work until the last of its hosts is well, or until what it is called ends") {
  auto diary = fault_diary{};
  diary.begin(1s, "crash", "three hosts", "", hosts({1, 2, 3}));
  diary.begin(2s, "cut", "sea", "cut sea");
  diary.begin(3s, "cut", "sea again", "cut sea");
  diary.begin(4s, "slow", "1", "", hosts({1}));
  CHECK(diary.at_work("crash"));
  CHECK(!diary.at_work("kill"));
  WHEN("hosts are started one by one") {
    diary.end_on(5s, "crash", hosts({1, 3}));
    CHECK(diary.at_work("crash"));
    CHECK(diary.at_work("slow"));
    diary.end_on(6s, "crash", hosts({2, 7}));
    CHECK(!diary.at_work("crash"));
    CHECK(diary.told(9s)[0].end == 6s);
  }
  WHEN("a name ends, all that are called so end") {
    diary.end(5s, "cut sea");
    CHECK(!diary.at_work("cut"));
    CHECK(diary.at_work("crash"));
    CHECK(diary.told(9s)[1].end == 5s);
    CHECK(diary.told(9s)[2].end == 5s);
  }
  WHEN("kinds end") {
    diary.end_all(5s, {"cut", "cut one-way"});
    CHECK(!diary.at_work("cut"));
    CHECK(diary.at_work("slow"));
  }
  THEN("what has not ended lasts until it is told") {
    const auto told = diary.told(9s);
    REQUIRE(told.size() == 4);
    for (const auto& x : told)
      CHECK(x.end == 9s);
    CHECK(told[3].begin == 4s);
    CHECK(told[0].whom == "three hosts");
  }
}

SCENARIO("the busiest second is counted from when it is asked for, and a long one by its mean") {
  auto busiest = busiest_second{};
  busiest.begin(10s, 100);
  CHECK(busiest.most() == 0);
  busiest.look(11s, 105);
  busiest.look(12s, 125);
  busiest.look(13s, 126);
  CHECK(busiest.most() == 20);
  busiest.look(17s, 126 + 4 * 30);
  CHECK(busiest.most() == 30);
  // Less than a second is never taken for more.
  busiest.look(17s + 100ms, 126 + 4 * 30 + 25);
  CHECK(busiest.most() == 30);
  busiest.look(17s + 100ms, 126 + 4 * 30 + 25);
  busiest.begin(18s, 300);
  CHECK(busiest.most() == 0);
}
