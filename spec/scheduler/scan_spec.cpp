#include "actors/scheduler/scan.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

using namespace novacron::scheduler;

namespace {

struct random_nodes {
  std::vector<std::vector<float>> columns;

  random_nodes(std::size_t count, std::mt19937& chance) : columns(10, std::vector<float>(count)) {
    for (auto& column : columns)
      for (auto& x : column)
        x = static_cast<float>(chance() % 1000) / 100 - 1;
    // Units: some nodes have none of it.
    for (const auto at : {3, 4, 5})
      for (auto& x : columns[static_cast<std::size_t>(at)])
        x = chance() % 5 == 0 ? 0 : 0.1f + static_cast<float>(chance() % 100) / 300;
  }
  node_columns view(bool loss) const {
    return {
        columns[0].data(), columns[1].data(), columns[2].data(), columns[3].data(), columns[4].data(),
        columns[5].data(), columns[6].data(), columns[7].data(), columns[8].data(), loss ? columns[9].data() : nullptr};
  }
};

} // namespace

SCENARIO("every width of vectors finds the same bits") {
  auto chance = std::mt19937{3};
  for (const auto count : {0u, 1u, 3u, 15u, 16u, 17u, 64u, 65u, 1000u}) {
    const auto nodes = random_nodes{count, chance};
    for (auto round = 0; round < 8; ++round) {
      const auto any = [&] { return static_cast<float>(chance() % 500) / 100; };
      const auto x = scan_question{any(), any(), any(), round % 2 ? any() : 0, any() - 2, any(), any(), any(), any()};
      const auto view = nodes.view(round % 4 < 2);
      const auto from = count / 3;
      auto plain = std::vector<float>(count, 7);
      score_nodes(view, x, from, count, plain.data(), vector_width::scalar);
      for (const auto width : {vector_width::baseline, vector_width::avx2, vector_width::avx512, vector_width::best}) {
        if (width != vector_width::best && !can_run(width))
          continue;
        auto found = std::vector<float>(count, 7);
        score_nodes(view, x, from, count, found.data(), width);
        CAPTURE(count);
        CAPTURE(static_cast<int>(width));
        CHECK((count == 0 || std::memcmp(found.data(), plain.data(), count * sizeof(float)) == 0));
        CHECK(sum_nodes(view, from, count, width) ==
              doctest::Approx(sum_nodes(view, from, count, vector_width::scalar)).epsilon(0.001));
      }
    }
  }
}

SCENARIO("a node has room up to the last bit of it") {
  auto chance = std::mt19937{4};
  auto nodes = random_nodes{1, chance};
  for (auto& column : nodes.columns)
    column[0] = 1;
  const auto score = [&](scan_question x) {
    auto found = 0.0f;
    score_nodes(nodes.view(false), x, 0, 1, &found);
    return std::isfinite(found);
  };
  const auto above = std::nextafter(1.0f, 2.0f);
  CHECK(score({1, 1, 1, 1}));
  CHECK_FALSE(score({above, 1, 1, 1}));
  CHECK_FALSE(score({1, above, 1, 1}));
  CHECK_FALSE(score({1, 1, above, 1}));
  CHECK_FALSE(score({1, 1, 1, above}));
}

SCENARIO("the greatest of each 64 is found, whatever there is") {
  auto chance = std::mt19937{5};
  for (const auto count : {1u, 63u, 64u, 65u, 200u}) {
    auto scores = std::vector<float>(count);
    for (auto& x : scores)
      x = chance() % 3 == 0 ? -std::numeric_limits<float>::infinity() : static_cast<float>(chance() % 50) - 25;
    auto greatest = std::vector<float>((count + 63) / 64);
    greatest_of_blocks(scores, greatest);
    for (auto block = std::size_t{0}; block < greatest.size(); ++block) {
      auto wanted = -std::numeric_limits<float>::infinity();
      for (auto i = block * 64; i < std::min<std::size_t>(count, block * 64 + 64); ++i)
        wanted = std::max(wanted, scores[i]);
      CHECK(greatest[block] == wanted);
    }
  }
}

SCENARIO("the scores that may reach a bar are those that do when they are looked at one by one") {
  auto chance = std::mt19937{5};
  for (const auto count : {0u, 1u, 3u, 4u, 5u, 63u, 64u})
    for (auto round = 0; round < 50; ++round) {
      auto scores = std::vector<float>(count);
      auto adjust = std::vector<float>(count);
      for (auto& x : scores)
        x = chance() % 7 == 0 ? -std::numeric_limits<float>::infinity() : static_cast<float>(chance() % 40) / 10;
      for (auto& x : adjust)
        x = chance() % 3 == 0 ? static_cast<float>(chance() % 40) / 10 - 2 : 0;
      const auto bonus = static_cast<float>(chance() % 30) / 10;
      const auto most = static_cast<float>(chance() % 2);
      const auto bar = round == 0 ? -std::numeric_limits<float>::infinity() : static_cast<float>(chance() % 60) / 10;
      for (const auto adjusted : {true, false}) {
        auto plain = std::uint64_t{0};
        for (auto i = std::size_t{0}; i < count; ++i)
          plain |= std::uint64_t{(scores[i] + bonus + (adjusted ? adjust[i] : 0.0f)) + most >= bar} << i;
        CHECK(reaching(scores, adjusted ? adjust.data() : nullptr, bonus, most, bar) == plain);
      }
    }
}
