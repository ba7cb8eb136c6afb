#include "actors/migration/flight.hpp"
#include "actors/migration/ladder.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace novacron::migration;

namespace {

constexpr auto batch = 256.0 * 4096;

/// What a ladder settles on when blocks shrink to a third of what raw takes, at a link and with a processor like these.
coding_step settled(double link_rate, double core_rate, std::optional<block_coding> fixed = {}) {
  auto x = ladder{fixed};
  for (auto i = 0; i < 200; ++i) {
    const auto costs = x.costs();
    const auto at = static_cast<std::size_t>(std::ranges::find(coding_steps, x.step()) - coding_steps.begin());
    // As the ladder believes, times the speed of this processor: what it measures are its own beliefs, moved.
    static const auto believed = ladder{}.costs();
    x.learn({.block_pages = static_cast<std::uint64_t>(batch),
             .block_bytes = static_cast<std::uint64_t>(batch / costs[at].ratio),
             .encode_seconds = batch / (believed[at].encode_rate * core_rate),
             .link_rate = link_rate});
  }
  return x.step();
}

} // namespace

SCENARIO("the coding fits the link and the processor") {
  CHECK(settled(5e9, 1) == coding_step{block_coding::raw, 0});
  CHECK(settled(150e6, 1) == coding_step{block_coding::lz4, 0});
  CHECK(settled(6e6, 1) == coding_step{block_coding::zstd, 9});
  CHECK(settled(60e6, 1).coding == block_coding::zstd);
  THEN("a slower processor takes a cheaper one") {
    CHECK(settled(60e6, 0.3).coding == block_coding::lz4);
    CHECK(settled(150e6, 0.02).coding == block_coding::raw);
  }
  THEN("the order of a person stands") {
    CHECK(settled(1e6, 1, block_coding::raw) == coding_step{block_coding::raw, 0});
    CHECK(settled(5e9, 1, block_coding::zstd) == coding_step{block_coding::zstd, 1});
    CHECK(settled(1e6, 1, block_coding::zstd) == coding_step{block_coding::zstd, 9});
    CHECK(settled(1e6, 1, block_coding::lz4) == coding_step{block_coding::lz4, 0});
  }
}

SCENARIO("what is under way fits into the window, and one frame always goes") {
  auto x = flight{rate_governor{0.03}};
  CHECK(x.has_room(window_first * 10));
  x.sent(window_first - 10, 0);
  CHECK(x.has_room(10));
  CHECK_FALSE(x.has_room(11));
  CHECK(x.arrived(window_first - 10, 0.1));
  CHECK(x.under_way() == 0);
  CHECK(x.rate() == doctest::Approx((window_first - 10) / 0.1));
  THEN("a target that acknowledges too much, or less than before, is not believed") {
    CHECK_FALSE(x.arrived(window_first, 0.2));
    CHECK_FALSE(x.arrived(1, 0.2));
  }
  THEN("acknowledgements that come together are one measurement") {
    x.sent(1000, 1);
    CHECK(x.arrived(window_first - 9, 1.0001));
    CHECK(x.rate() == doctest::Approx((window_first - 10) / 0.1));
  }
}

SCENARIO("a link is as fast as what it carries while it has work, and faster than that while it has none") {
  auto x = link_gauge{};
  CHECK(x.rate() == 0);
  auto bytes = std::uint64_t{0};
  auto now = 0.0;
  const auto look = [&](bool busy, double rate) {
    for (auto i = 0; i < 40; ++i) {
      x.look({bytes, busy}, now);
      now += 0.005;
      bytes += static_cast<std::uint64_t>(rate * 0.005);
    }
  };
  look(true, 25e6);
  CHECK(x.rate() == doctest::Approx(25e6).epsilon(0.05));
  // Its owner has become slow for a while, not the link; it is not forgotten what it carries.
  look(false, 1e6);
  CHECK(x.rate() > 25e6);
  CHECK(x.rate() < 35e6);
  look(true, 10e6);
  CHECK(x.rate() == doctest::Approx(10e6).epsilon(0.1));
  THEN("one that was never seen at its limit is soon thought to be fast") {
    auto y = link_gauge{};
    for (auto i = 0; i < 40; ++i)
      y.look({static_cast<std::uint64_t>(i) * 1'000'000, false}, i * 0.01);
    CHECK(y.rate() > 1e9);
  }
  THEN("what TCP saw of one that has nothing to carry is believed until it was seen at its limit") {
    auto y = link_gauge{};
    y.look({0, false, 2e9}, 0);
    y.look({100'000, false, 2e9}, 0.02);
    CHECK(y.rate() == 2e9);
    y.look({200'000, true, 2e9}, 0.03);
    y.look({300'000, true, 2e9}, 0.045);
    for (auto i = 1; i < 40; ++i)
      y.look({300'000 + static_cast<std::uint64_t>(i) * 100'000, true, 2e9}, 0.045 + i * 0.01);
    y.look({5'000'000, false, 2e9}, 0.5);
    CHECK(y.rate() < 20e6);
  }
  THEN("a burst at the begin of a link that is at its limit says nothing") {
    auto y = link_gauge{};
    for (auto i = 0; i < 10; ++i)
      y.look({static_cast<std::uint64_t>(i) * 125'000, i % 2 == 1, 2e9}, i * 0.0051);
    CHECK(y.rate() < 200e6);
  }
}

SCENARIO("a long way is not taken for a slow one") {
  // 100 ms there and back, at 125 MB/s: the window grows until the link is full.
  auto x = flight{rate_governor{0.03}};
  auto window = x.window();
  for (auto i = 0; i < 60; ++i) {
    window = x.window();
    const auto begin = i * 10.0;
    x.sent(window, begin);
    REQUIRE(x.arrived(x.sent_all(), begin + std::max(0.1, static_cast<double>(window) / 125e6)));
  }
  CHECK(static_cast<double>(window) > 0.1 * 125e6);
  CHECK(static_cast<double>(window) < 0.3 * 125e6);
}
