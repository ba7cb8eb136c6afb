#include "actors/migration/pass_planner.hpp"

#include <doctest/doctest.h>

using namespace novacron::migration;

namespace {

constexpr auto limits = pass_limits{.downtime_max = 0.03, .handover = 0.01, .downtime_forced = 0.3, .pass_max = 10};
/// 100,000 pages a second.
constexpr auto first = pass_facts{.pages = 100'000, .bytes = 1 << 28, .seconds = 1};

} // namespace

SCENARIO("the guest is stopped when what is left fits into its standstill") {
  CHECK(pass_planner{limits}.after(first, 0) == next_pass::last);
  CHECK(pass_planner{limits}.after(first, 1999) == next_pass::last);
  CHECK(pass_planner{limits}.after(first, 2001) == next_pass::more);
  CHECK(pass_planner{limits}.after({}, 100) == next_pass::last);
}

SCENARIO("what a page takes is measured, and a handful of pages measures nothing") {
  auto x = pass_planner{limits};
  CHECK(x.after(first, 50'000) == next_pass::more);
  CHECK(x.time_for(1000) == doctest::Approx(0.01));
  // Deltas are ten times as fast.
  CHECK(x.after({.pages = 50'000, .bytes = 1 << 20, .seconds = 0.05}, 10'000) == next_pass::last);
  auto y = pass_planner{limits};
  CHECK(y.after(first, 3000) == next_pass::more);
  CHECK(y.after({.pages = 10, .bytes = 1 << 10, .seconds = 0.02}, 1500) == next_pass::last);
}

SCENARIO("passes that do not get shorter end, by a longer standstill or not at all") {
  GIVEN("a guest whose rest fits into a standstill that is tolerable") {
    auto x = pass_planner{limits};
    CHECK(x.after(first, 20'000) == next_pass::more);
    CHECK(x.after({.pages = 20'000, .bytes = 1, .seconds = 0.2}, 19'000) == next_pass::more);
    CHECK(x.after({.pages = 19'000, .bytes = 1, .seconds = 0.19}, 18'500) == next_pass::last);
  }
  GIVEN("a guest that writes as fast as the link carries") {
    auto x = pass_planner{limits};
    CHECK(x.after(first, 90'000) == next_pass::more);
    CHECK(x.after({.pages = 90'000, .bytes = 1, .seconds = 0.9}, 89'000) == next_pass::more);
    CHECK(x.after({.pages = 89'000, .bytes = 1, .seconds = 0.89}, 89'000) == next_pass::outrun);
  }
  GIVEN("one bad pass among good ones") {
    auto x = pass_planner{limits};
    CHECK(x.after(first, 50'000) == next_pass::more);
    CHECK(x.after({.pages = 50'000, .bytes = 1, .seconds = 0.5}, 49'000) == next_pass::more);
    CHECK(x.after({.pages = 49'000, .bytes = 1, .seconds = 0.5}, 30'000) == next_pass::more);
    CHECK(x.after({.pages = 30'000, .bytes = 1, .seconds = 0.3}, 29'000) == next_pass::more);
  }
  GIVEN("passes without end") {
    auto x = pass_planner{limits};
    auto dirty = std::uint64_t{100'000'000};
    auto passes = 1;
    while (x.after({.pages = 100'000, .bytes = 1, .seconds = 1}, dirty) == next_pass::more) {
      dirty = dirty * 8 / 10;
      ++passes;
    }
    CHECK(passes == 10);
  }
}
