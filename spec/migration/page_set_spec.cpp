#include "actors/migration/page_set.hpp"

#include <doctest/doctest.h>

#include <random>
#include <set>
#include <vector>

using namespace novacron::migration;

namespace {

std::vector<std::uint64_t> pages_in(const page_set& x, std::uint64_t first, std::uint64_t end) {
  auto all = std::vector<std::uint64_t>{};
  x.for_each(first, end, [&](auto page) { all.push_back(page); });
  return all;
}

} // namespace

SCENARIO("a set of pages holds what was put into it, and no page that the guest does not have") {
  auto chance = std::minstd_rand{5};
  for (auto round = 0; round < 200; ++round) {
    const auto count = std::uint64_t{1} + chance() % 700;
    auto found = page_set{count};
    auto other = page_set{count};
    auto wanted = std::set<std::uint64_t>{};
    for (auto i = 0; i < 5; ++i) {
      const auto run = page_run{chance() % (count + 20), chance() % 200};
      (i < 3 ? found : other).insert(run);
      for (auto page = run.first; page < std::min(run.first + run.count, count); ++page)
        wanted.insert(page);
    }
    found.insert(other);
    REQUIRE(found.size() == wanted.size());
    REQUIRE(pages_in(found, 0, count + 500) == std::vector(wanted.begin(), wanted.end()));
    const auto from = chance() % count;
    const auto end = from + chance() % 100;
    REQUIRE(pages_in(found, from, end) == std::vector(wanted.lower_bound(from), wanted.lower_bound(end)));
    for (auto page = std::uint64_t{0}; page < count + 70; ++page)
      REQUIRE(found.holds(page) == wanted.contains(page));
    found.clear();
    REQUIRE(found.size() == 0);
  }
}

SCENARIO("runs that end where no number is larger are cut") {
  auto x = page_set{100};
  x.insert({90, ~std::uint64_t{0}});
  x.insert({~std::uint64_t{0}, 5});
  CHECK(x.size() == 10);
}
