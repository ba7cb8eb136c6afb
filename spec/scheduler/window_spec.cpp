#include "actors/scheduler/window.hpp"

#include "actors/scheduler/bench_window.hpp"
#include "actors/scheduler/window_foresight.hpp"
#include "actors/scheduler/window_search.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <unistd.h>
#include <vector>

using namespace novacron::scheduler;

namespace {

/// Every way to place every request.
double best_of_all(const window& x) {
  auto best = 0.0;
  auto where = window_choices(x.requests.size(), -1);
  const auto visit = [&](const auto& self, std::size_t at) -> void {
    if (at == x.requests.size()) {
      const auto found = judge(x, where);
      if (found.violations == 0)
        best = std::max(best, found.value);
      return;
    }
    for (auto node = -1; node < static_cast<int>(x.nodes.size()); ++node) {
      where[at] = node;
      self(self, at + 1);
    }
  };
  visit(visit, 0);
  return best;
}

window tiny_window(std::uint64_t seed) {
  auto chance = std::mt19937_64{seed};
  auto x = window{};
  for (auto i = 0; i < 3; ++i)
    x.nodes.push_back({double(1 + chance() % 8), double(1 + chance() % 8), double(chance() % 3)});
  for (auto i = 0; i < 6; ++i) {
    const auto app = static_cast<std::uint32_t>(chance() % 3);
    const auto cap = app == 0 ? 1 : app == 1 ? 2 : -1;
    x.requests.push_back(
        {{double(chance() % 5), double(chance() % 5), double(chance() % 4 == 0)}, app, cap, double(chance() % 6)});
  }
  return x;
}

} // namespace

SCENARIO("windows are read as they are written, and what is wrong in them is named by its line") {
  const auto text = std::string{"I 1 2 7.5\nN 4 8.5 1\nR 1 2 0 0 -1 3\nR 1 2 0.5 1 2 4.5\n"};
  const auto all = read_windows(text);
  REQUIRE(all.size() == 1);
  CHECK(all[0].nodes[0][1] == 8.5);
  CHECK(all[0].requests[1].cap == 2);
  CHECK(all[0].optimum == 7.5);
  CHECK(write_windows(all) == text);
  CHECK(read_windows("").empty());
  const auto named = read_windows("I 1 2 0\nN 1 1 1\nR 1 1 1 web -1 1\nR 1 1 1 web -1 1\nI 0 0 0\n");
  CHECK(named.size() == 2);
  CHECK(named[0].requests[0].app == named[0].requests[1].app);
  CHECK_THROWS_WITH(read_windows("N 1 1 1\n"), "windows: line 1: \"I\" and 3 numbers belong here");
  CHECK_THROWS_WITH(read_windows("I 1 0 0\n\nR 1 1 1 1 1 1\n"), "windows: line 3: \"N\" and 3 numbers belong here");
  CHECK_THROWS_WITH(read_windows("I 1 0 0\nN 1 x 1\n"), "windows: line 2: \"x\" is not a number");
  CHECK_THROWS(read_windows("I 1 -1 0\n"));
  CHECK_THROWS(read_windows("I 1 1e9 0\n"));
  CHECK_THROWS(read_windows("I 1 0 0\nN 1 nan 1\n"));
}

SCENARIO("a verdict counts value and every broken rule") {
  auto x = window{};
  x.nodes = {{4, 4, 0}, {1, 1, 1}};
  x.requests = {{{2, 2, 0}, 0, 1, 3}, {{2, 2, 0}, 0, -1, 4}, {{1, 1, 1}, 1, -1, 5}};
  CHECK(judge(x, {0, -1, 1}).value == 8);
  CHECK(judge(x, {0, -1, 1}).violations == 0);
  // The first wants to be alone of its app, whoever comes later.
  CHECK(judge(x, {0, 0, -1}).violations == 1);
  CHECK(judge(x, {-1, 0, 0}).violations == 1);
  CHECK(judge(x, {2, -1, -1}).violations == 1);
}

SCENARIO("a window that is known as a whole is placed as well as can be") {
  for (auto seed = std::uint64_t{1}; seed <= 150; ++seed) {
    CAPTURE(seed);
    const auto x = tiny_window(seed);
    const auto where = place_window(x);
    CHECK(judge(x, where).violations == 0);
    CHECK(judge(x, where).value == doctest::Approx(best_of_all(x)));
    CHECK(window_optimum(x) == doctest::Approx(best_of_all(x)));
  }
}

SCENARIO("a search that may not finish still breaks no rule and does no worse for exchanging") {
  auto chance = std::mt19937_64{3};
  const auto maker = window_maker{chance};
  auto search = window_search{};
  auto placed = 0.0;
  auto optimum = 0.0;
  for (auto i = 0; i < 50; ++i) {
    auto x = maker.make(chance);
    for (auto& r : x.requests)
      r.app = 0, r.cap = -1;
    const auto held = std::vector<std::uint16_t>(x.nodes.size());
    const auto hasty = search.solve(x.nodes, held, 1, x.requests, 10);
    CHECK(judge(x, search.choices()).violations == 0);
    CHECK(judge(x, search.choices()).value == doctest::Approx(hasty.value));
    CHECK(hasty.value <= window_optimum(x) + 1e-6);
    placed += hasty.value;
    optimum += window_optimum(x);
  }
  CHECK(placed >= 0.9 * optimum);
}

SCENARIO("one at a time, sampled futures leave less on the table than best fit") {
  auto chance = std::mt19937_64{11};
  const auto maker = window_maker{chance};
  auto foresight = window_foresight{{.futures = 40}};
  auto again = window_foresight{{.futures = 40}};
  auto best_fit = window_foresight{{.futures = 0}};
  auto optimum = 0.0;
  auto placed = 0.0;
  auto fitted = 0.0;
  for (auto i = 0; i < 60; ++i) {
    const auto x = maker.make(chance);
    const auto where = place_one_by_one(foresight, x);
    CHECK(where == place_one_by_one(again, x));
    CHECK(judge(x, where).violations == 0);
    optimum += window_optimum(x);
    placed += judge(x, where).value;
    fitted += judge(x, place_one_by_one(best_fit, x)).value;
  }
  CHECK(optimum - placed < 0.75 * (optimum - fitted));
  CHECK(placed > 0.95 * optimum);
}

SCENARIO("the bench of windows makes instances and judges both modes") {
  namespace fs = std::filesystem;
  const auto place = fs::temp_directory_path() / ("window-spec-" + std::to_string(::getpid()));
  make_windows(place, 5, 2);
  auto options = window_options{};
  options.file = place;
  for (const auto* mode : {"online", "batch"}) {
    options.mode = mode;
    for (const auto& x : bench_window(options)) {
      if (x.name == "violations")
        CHECK(x.value == 0);
      if (x.name == "value")
        CHECK(x.value > 0.8);
      if (x.name == "choices")
        CHECK(x.rows.size() == 5);
    }
  }
  options.mode = "later";
  CHECK_THROWS(bench_window(options));
  fs::remove(place);
}
