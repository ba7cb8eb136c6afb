#include "actors/simulation/agenda.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

using namespace novacron::simulation;
using namespace std::chrono_literals;

namespace {

event act_of(std::function<void()> what) {
  return {std::move(what), 0};
}

/// Takes and does what comes next, if that is an act.
void happen(agenda& all) {
  const auto next = all.take();
  if (next.what() == event::kind::act)
    next.act()();
}

/// Above the number stand bits that say what kind of message it is.
std::uint64_t number_of(caf::message_id x) {
  return x.integer_value() & ((std::uint64_t{1} << caf::message_id::category_offset) - 1);
}

} // namespace

SCENARIO("the agenda gives things back by time, and in the order of planning when the times are equal") {
  auto chance = std::mt19937_64{20261126};
  for (auto round = 0; round < 200; ++round) {
    auto all = agenda{};
    auto planned = std::vector<std::pair<moment, int>>{};
    auto seen = std::vector<std::pair<moment, int>>{};
    auto now = moment{0};
    auto number = 0;
    // Of all sizes of waits, and often none at all.
    const auto plan_some = [&] {
      for (auto i = chance() % 5; i > 0; --i) {
        const auto when = now + moment{static_cast<std::int64_t>(chance() % (std::uint64_t{1} << (chance() % 40)))};
        planned.emplace_back(when, number);
        all.plan(when, act_of([&seen, when, own = number++] { seen.emplace_back(when, own); }));
      }
    };
    plan_some();
    for (auto step = 0; step < 300 && (step < 200 || !all.empty()); ++step) {
      if (step < 200)
        plan_some();
      if (all.empty())
        continue;
      // Whoever looks may do so long before it happens.
      REQUIRE(all.next() >= now);
      now = all.next();
      happen(all);
    }
    while (!all.empty())
      happen(all);
    std::ranges::stable_sort(planned, {}, &std::pair<moment, int>::first);
    REQUIRE(seen == planned);
  }
}

SCENARIO("a request's time ends only for requests that still wait then") {
  auto all = agenda{};
  auto answered = std::set<std::uint64_t>{};
  all.open = [&](const caf::strong_actor_ptr&, caf::message_id x) { return !answered.contains(number_of(x)); };
  auto number = std::uint64_t{0};
  const auto ask = [&](moment now, moment wait) {
    all.plan_request(now, wait, 1, nullptr, caf::make_message_id(++number));
    return number;
  };
  auto late = std::vector<std::pair<moment, std::uint64_t>>{};
  const auto run_until = [&](moment end) {
    while (!all.empty() && all.next() <= end) {
      const auto when = all.next();
      const auto x = all.take();
      if (x.what() == event::kind::request) {
        late.emplace_back(when, number_of(x.request()));
        answered.insert(number_of(x.request()));
      }
    }
  };

  GIVEN("three requests with one time, and one with a shorter") {
    const auto first = ask(0s, 10s);
    const auto second = ask(1s, 10s);
    const auto third = ask(1s, 10s);
    const auto hasty = ask(2s, 1s);
    THEN("each that has no answer ends in its time, in order") {
      answered.insert(first);
      run_until(20s);
      CHECK(late == std::vector<std::pair<moment, std::uint64_t>>{{3s, hasty}, {11s, second}, {11s, third}});
      CHECK(all.empty());
    }
    THEN("what is answered late enough for others to come after it changes nothing for those") {
      answered = {first, second, third, hasty};
      run_until(5s);
      const auto fourth = ask(6s, 10s);
      run_until(30s);
      CHECK(late == std::vector<std::pair<moment, std::uint64_t>>{{16s, fourth}});
    }
  }
  GIVEN("many more than there is room for at first, of which every tenth gets no answer") {
    auto expected = std::vector<std::pair<moment, std::uint64_t>>{};
    for (auto now = moment{0}; now < 100s; now += 10ms) {
      run_until(now);
      const auto x = ask(now, 4s);
      if (x % 10 == 0)
        expected.emplace_back(now + 4s, x);
      else
        answered.insert(x);
    }
    run_until(200s);
    CHECK(late == expected);
  }
}
