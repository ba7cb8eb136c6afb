#include "actors/scheduler/move_estimate.hpp"

#include <doctest/doctest.h>

#include <cstdint>
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
