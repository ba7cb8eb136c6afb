#include "actors/simulation/swarm.hpp"
#include "actors/simulation/weather.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace novacron::simulation;
using namespace std::chrono_literals;

SCENARIO("weather is drawn from its seed, and known before it begins") {
  const auto* storm = find_climate("storm");
  REQUIRE(storm);
  const auto one = draw_weather(*storm, 7, 10min, 20, {0}, 5);
  const auto two = draw_weather(*storm, 7, 10min, 20, {0}, 5);
  REQUIRE(one.size() == 20);
  for (auto i = std::size_t{0}; i < one.size(); ++i) {
    CHECK(one[i].begin == two[i].begin);
    CHECK(one[i].whom == two[i].whom);
    CHECK(one[i].begin >= 0s);
    CHECK(one[i].begin + one[i].length <= 10min);
    CHECK(one[i].whom < 20);
    CHECK(one[i].number >= 5);
  }
  CHECK(std::ranges::is_sorted(one, {}, &strike::begin));
  CHECK(draw_weather(*storm, 8, 10min, 20, {0}, 5).front().begin != one.front().begin);
}

SCENARIO("each seed has only some kinds of faults, and all of them come up") {
  auto seen = std::set<fault_kind>{};
  auto narrow = 0;
  for (auto seed = std::uint64_t{1}; seed <= 100; ++seed) {
    auto kinds = std::set<fault_kind>{};
    for (const auto& x : draw_weather(*find_climate("storm"), seed, 30min, 20, {0, 1, 2}, 0))
      kinds.insert(x.what);
    narrow += kinds.size() < all_fault_kinds().size() ? 1 : 0;
    seen.insert(kinds.begin(), kinds.end());
  }
  CHECK(seen.size() == all_fault_kinds().size());
  CHECK(narrow > 90);
}

SCENARIO("a failing run is shrunk to the faults that make it fail") {
  auto all = std::vector<std::uint32_t>{};
  for (auto i = 0u; i < 40; ++i)
    all.push_back(i);
  auto runs = 0;
  const auto spared = shrink(all, [&](const std::set<std::uint32_t>& without) {
    ++runs;
    return !without.contains(7) && !without.contains(23);
  });
  CHECK(spared.size() == 38);
  CHECK(!spared.contains(7));
  CHECK(!spared.contains(23));
  CHECK(runs < 40);
}
