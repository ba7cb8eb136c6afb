#include "actors/scheduler/evolution.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

using namespace novacron::scheduler;

namespace {

/// How far from the best point the search is after so many generations on a valley a hundred times as steep one way.
double distance_after(int generations, std::uint64_t seed, bool sabotaged = false) {
  auto search = evolution{{3, -2, 1}, {1, 1, 1}, seed};
  for (auto i = 0; i < generations; ++i) {
    auto fitness = std::vector<double>{};
    for (const auto& x : search.ask())
      fitness.push_back(-(x[0] * x[0] + 100 * x[1] * x[1] + x[2] * x[2]));
    if (sabotaged)
      fitness[0] = std::numeric_limits<double>::quiet_NaN();
    search.tell(fitness);
  }
  auto sum = 0.0;
  for (const auto x : search.middle())
    sum += x * x;
  return std::sqrt(sum);
}

} // namespace

SCENARIO("the search finds the bottom of a narrow valley") {
  for (auto seed = std::uint64_t{1}; seed <= 5; ++seed)
    CHECK(distance_after(120, seed) < 0.001);
  CHECK(distance_after(0, 1) > 3);
}

SCENARIO("one seed makes one search") {
  CHECK(distance_after(30, 7) == distance_after(30, 7));
  CHECK(distance_after(30, 7) != distance_after(30, 8));
}

SCENARIO("a candidate whose fitness is no number counts as the worst") {
  CHECK(distance_after(150, 3, true) < 0.01);
}
