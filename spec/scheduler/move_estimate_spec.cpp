#include "actors/scheduler/move_estimate.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::scheduler;

namespace {

constexpr auto mib = std::uint64_t{1} << 20;

wire::Migration made(const std::string& source, const std::string& target, std::uint64_t memory, std::uint64_t bytes,
                     std::int64_t took_ms, std::int64_t ended_ms = 100'000) {
  auto x = wire::Migration{};
  x.set_source(source);
  x.set_target(target);
  x.set_phase("moved");
  x.set_bytes(bytes);
  x.set_still_seconds(static_cast<double>(took_ms) / 100'000);
  x.set_ended_ms(ended_ms);
  x.set_began_ms(ended_ms - took_ms);
  x.mutable_expected()->set_memory_bytes(memory);
  return x;
}

} // namespace

SCENARIO("without earlier moves the usual is expected, and said to be so") {
  const auto x = estimate_move(512 * mib, "a", "b", {});
  CHECK(x.moves() == 0);
  CHECK(x.memory_bytes() == 512 * mib);
  CHECK(x.bytes() > 100 * mib);
  CHECK(x.bytes() < 512 * mib);
  CHECK(x.seconds() > 2);
  CHECK(x.seconds() < 10);
  CHECK(estimate_move(0, "a", "b", {}).seconds() > 0);
}

SCENARIO("what moves took is what the next one is expected to take") {
  const auto before =
      std::vector{made("a", "b", 100 * mib, 20 * mib, 3'000), made("a", "b", 100 * mib, 30 * mib, 4'000),
                  made("a", "b", 100 * mib, 90 * mib, 50'000)};
  const auto x = estimate_move(200 * mib, "a", "b", before);
  CHECK(x.moves() == 3);
  CHECK(x.seconds() == doctest::Approx(8));
  CHECK(x.bytes() == 60 * mib);
  CHECK(x.still_seconds() == doctest::Approx(0.04));
  // One that is half as large takes as long to begin.
  CHECK(estimate_move(50 * mib, "a", "b", before).seconds() == doctest::Approx(4));
}

SCENARIO("moves between the same two nodes say more than others, and what was kept says nothing") {
  auto kept = made("a", "b", 100 * mib, 1 * mib, 99'000);
  kept.set_phase("kept");
  auto unknown = made("a", "b", 0, 1 * mib, 99'000);
  const auto elsewhere = made("c", "d", 100 * mib, 50 * mib, 9'000);
  CHECK(estimate_move(100 * mib, "a", "b", {kept, unknown}).moves() == 0);
  CHECK(estimate_move(100 * mib, "a", "b", {kept, elsewhere}).seconds() == doctest::Approx(9));
  const auto x = estimate_move(100 * mib, "a", "b", {elsewhere, made("a", "b", 100 * mib, 10 * mib, 2'000)});
  CHECK(x.moves() == 1);
  CHECK(x.seconds() == doctest::Approx(2));
}

SCENARIO("of many moves the last ones count") {
  auto before = std::vector<wire::Migration>{};
  for (auto i = 0; i < 40; ++i)
    before.push_back(made("a", "b", 100 * mib, 10 * mib, i < 24 ? 50'000 : 2'000, 100'000 + i));
  const auto x = estimate_move(100 * mib, "a", "b", before);
  CHECK(x.moves() == 16);
  CHECK(x.seconds() == doctest::Approx(2));
}

SCENARIO("what a move took beside its passes does not grow with the memory") {
  auto one = made("a", "b", 100 * mib, 20 * mib, 3'000);
  one.add_course()->set_seconds(0.9);
  one.add_course()->set_seconds(0.1);
  CHECK(estimate_move(300 * mib, "a", "b", {one}).seconds() == doctest::Approx(2 + 3));
  CHECK(estimate_move(50 * mib, "a", "b", {one}).seconds() == doctest::Approx(2 + 0.5));
}

SCENARIO("nine of ten moves are expected within a range that narrows with what is known") {
  const auto width = [](const wire::MoveEstimate& x) {
    CHECK(x.seconds_low() > 0);
    CHECK(x.seconds_low() < x.seconds());
    CHECK(x.seconds() < x.seconds_high());
    return x.seconds_high() / x.seconds_low();
  };
  auto same = std::vector<wire::Migration>{};
  auto before = width(estimate_move(100 * mib, "a", "b", same));
  for (auto i = 0; i < 16; ++i) {
    same.push_back(made("a", "b", 100 * mib, 10 * mib, 2'000 + i));
    const auto now = width(estimate_move(100 * mib, "a", "b", same));
    CHECK(now < before);
    before = now;
  }
  // Of durations that differ by chance, by a fifth mostly, nine of ten lie within it.
  auto chance = std::mt19937{3};
  auto draw = [&] { return std::exp(0.2 * std::normal_distribution<>{}(chance)); };
  auto within = 0;
  constexpr auto rounds = 2000;
  for (auto i = 0; i < rounds; ++i) {
    auto known = std::vector<wire::Migration>{};
    for (auto k = 0; k < 16; ++k)
      known.push_back(made("a", "b", 100 * mib, 10 * mib, static_cast<std::int64_t>(2'000 * draw())));
    const auto x = estimate_move(100 * mib, "a", "b", known);
    const auto took = 2 * draw();
    within += took >= x.seconds_low() && took <= x.seconds_high();
  }
  CHECK(within > rounds * 0.85);
  CHECK(within < rounds * 0.95);
}
