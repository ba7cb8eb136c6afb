#include "actors/migration/frame.hpp"
#include "actors/migration/prediction.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace novacron::migration;

namespace {

/// As measured: ordinary cores, guest pages.
const auto costs = std::vector<coding_cost>{
    {.coding = block_coding::raw, .encode_rate = 15e9, .decode_rate = 15e9, .ratio = 1},
    {.coding = block_coding::lz4, .encode_rate = 0.9e9, .decode_rate = 4e9, .ratio = 2.8},
    {.coding = block_coding::zstd, .encode_rate = 0.5e9, .decode_rate = 1.5e9, .ratio = 3.5},
};

constexpr auto gigabit = 125e6;

prediction_order ordinary(double link_rate, double dirty_rate = 0) {
  return {.guest = {.memory = 512e6,
                    .uniform_share = 0.12,
                    .duplicate_share = 0.25,
                    .dirty_rate = dirty_rate,
                    .dirty_size = 64e6,
                    .sample_count = 1000},
          .rates = {.scan_rate = 20e9, .copy_rate = 12e9, .table_rate = 850e9},
          .budget = {.link_rate = link_rate, .source_cores = 2, .target_cores = 2}};
}

} // namespace

SCENARIO("the coding follows the link: none on a fast one, lz4 in the middle, zstd on a slow one") {
  const auto on = [](double link_rate, double cores = 2) {
    return choose(costs, {.link_rate = link_rate, .source_cores = cores, .target_cores = cores}).coding;
  };
  CHECK(on(gigabit / 5) == block_coding::zstd);
  CHECK(on(gigabit) == block_coding::zstd);
  CHECK(on(5 * gigabit) == block_coding::lz4);
  CHECK(on(40 * gigabit) == block_coding::raw);
  GIVEN("one core of which only a part is free") {
    CHECK(on(gigabit, 0.1) == block_coding::raw);
  }
  GIVEN("equal ones") {
    const auto twice = std::vector{costs[1], costs[1]};
    CHECK(&choose(twice, {.link_rate = gigabit}) == &twice[0]);
  }
}

SCENARIO("what is under way follows the measured rate") {
  auto x = rate_governor{0.03};
  CHECK(x.window() == window_first);
  x.acknowledge(0, 0);
  CHECK(x.window() == window_first);
  for (auto i = 0; i < 40; ++i)
    x.acknowledge(1250000, 0.01);
  CHECK(x.rate() == doctest::Approx(125e6));
  CHECK(x.window() == doctest::Approx(3.75e6));
  GIVEN("a link that slows down") {
    for (auto i = 0; i < 20; ++i)
      x.acknowledge(250000, 0.01);
    CHECK(x.rate() == doctest::Approx(25e6).epsilon(0.02));
  }
  GIVEN("a link that hardly moves") {
    for (auto i = 0; i < 100; ++i)
      x.acknowledge(1000, 1);
    CHECK(x.window() == window_min);
  }
  GIVEN("a rate that must not be exceeded") {
    auto slow = rate_governor{0.03, 100e6};
    CHECK(slow.window() == 3'000'000);
    slow.acknowledge(1250000, 0.01);
    CHECK(slow.window() == 3'000'000);
  }
}

SCENARIO("a quiet guest takes as long as its bytes take, and stands still for the hand-over") {
  const auto x = predict(ordinary(gigabit / 5), costs);
  // 323 MB of content at 3.5, and the entries of 125,000 pages.
  CHECK(x.wire_bytes == doctest::Approx(512e6 * 0.63 / 3.5 + 512e6 / 4096 * 9));
  CHECK(x.duration == doctest::Approx(x.wire_bytes / 25e6).epsilon(0.01));
  CHECK(x.downtime < 0.02);
  CHECK(x.converges);
  CHECK(x.bottleneck == "link");
  CHECK(x.coding == block_coding::zstd);
  CHECK(x.ratio > 3.5);
  CHECK(x.stream_count == 1);
}

SCENARIO("a guest that writes needs more passes, and one that outruns the link does not converge") {
  const auto quiet = predict(ordinary(gigabit), costs);
  const auto busy = predict(ordinary(gigabit, 12e6), costs);
  CHECK(busy.pass_count >= quiet.pass_count);
  CHECK(busy.wire_bytes > quiet.wire_bytes);
  CHECK(busy.duration > quiet.duration);
  CHECK(busy.converges);
  auto wild = ordinary(gigabit, 1e12);
  wild.guest.dirty_size = 512e6;
  wild.guest.delta_bytes = 4096;
  const auto lost = predict(wild, costs);
  CHECK_FALSE(lost.converges);
  CHECK(lost.downtime > 1);
  CHECK(lost.pass_count <= wild.pass_max);
}

SCENARIO("the slowest stage is named") {
  auto order = ordinary(100 * gigabit);
  const auto lz4 = std::vector{costs[1]};
  CHECK(predict(order, lz4).bottleneck == "encode");
  order.budget.source_cores = 64;
  CHECK(predict(order, lz4).bottleneck == "decode");
  order.rates.copy_rate = 2e9;
  CHECK(predict(order, lz4).bottleneck == "place");
  order.budget.target_cores = 64;
  CHECK(predict(order, lz4).bottleneck == "link");
  order.rates.scan_rate = 1e9;
  CHECK(predict(order, lz4).bottleneck == "scan");
}

SCENARIO("the hardware that a time needs meets that time exactly") {
  auto order = ordinary(gigabit);
  order.guest.memory = 1e12;
  const auto lz4 = std::vector{costs[1]};
  const auto needed = hardware_for(60, order, lz4[0]);
  CHECK(needed.link_rate == doctest::Approx(1e12 * 0.63 / 2.8 / 60 + 1e12 / 4096 * 9 / 60));
  order.budget = {needed.link_rate, needed.source_cores, needed.target_cores};
  const auto x = predict(order, lz4);
  auto source = 0.0;
  for (auto i = 0; i < 3; ++i)
    source += x.stages[static_cast<std::size_t>(i)].seconds;
  CHECK(source == doctest::Approx(60));
  CHECK(x.stages[3].seconds == doctest::Approx(60));
  CHECK(x.stages[4].seconds + x.stages[5].seconds == doctest::Approx(60));
}

SCENARIO("streams and chunks fit the link, and fewer samples make the prediction vaguer") {
  CHECK(predict(ordinary(100 * gigabit), costs).stream_count == 8);
  CHECK(predict(ordinary(gigabit), costs).chunk_size == doctest::Approx(125e6 * 0.03 / 4));
  CHECK(predict(ordinary(gigabit / 100), costs).chunk_size == 65536);
  CHECK(predict(ordinary(10000 * gigabit), costs).chunk_size == frame_payload_max);
  auto few = ordinary(gigabit);
  few.guest.sample_count = 10;
  CHECK(predict(few, costs).spread > predict(ordinary(gigabit), costs).spread);
  few.guest.sample_count = 0;
  CHECK(predict(few, costs).spread <= 1);
}
