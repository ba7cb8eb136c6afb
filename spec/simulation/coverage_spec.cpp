#include "actors/host/log.hpp"
#include "actors/simulation/scenario.hpp"
#include "actors/simulation/swarm.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>

using namespace novacron;
using namespace novacron::simulation;

namespace {

const auto storm = std::string{HOUSE_ROOT "/spec/scenarios/storm.nova"};

} // namespace

SCENARIO("twenty seeds of storm.nova let every operation meet every kind of fault") {
  host::set_log_level(host::level::off);
  const auto read = read_scenario(read_from_disk(storm).value_or(""), storm, read_from_disk);
  for (const auto& wrong : read.errors)
    FAIL_CHECK(wrong);
  auto met = coverage_table{};
  run_swarm(read.what, 1, 20, 2, true, [&](const seed_result& x) {
    CHECK_MESSAGE(x.violations == 0, "seed " << x.seed << ": " << x.first);
    for (const auto& [pair, count] : x.operations)
      met[pair] += count;
  });
  for (const auto& operation : player::operations())
    for (const auto kind : all_fault_kinds()) {
      const auto cell = std::pair{operation, std::string{to_string(kind)}};
      CHECK_MESSAGE(met.contains(cell), operation << " never met " << cell.second);
    }
}

SCENARIO("an operation meets a fault from its beginning to its end, and no other") {
  host::set_log_level(host::level::off);
  const auto read = read_scenario(R"(
world {
  [[hosts]]
  name = "cloud"
  role = "cloud"
  [[hosts]]
  name = "edge"
  count = 3
}
until nodes.ready == 4 within 1m
run {
  name = "web"
  image = "web:1"
}
crash edge-1,edge-2
drain edge-3
restart edge-1
undrain edge-3
restart edge-2
stop web
skew edge-1 1h
run {
  name = "web"
  image = "web:1"
}
run {
  name = "web"
  image = "web:2"
}
skew edge-1 0s
cut edge-1 as one
cut edge-2 one-way
heal one
delete web
)",
                                  "x.nova", [](const std::string&) { return std::nullopt; });
  for (const auto& wrong : read.errors)
    FAIL_CHECK(wrong);
  const auto seen = player{read.what, {}}.play();
  CHECK(seen.operations == coverage_table{{{"drain", "crash"}, 1},
                                          {{"restart", "crash"}, 2},
                                          {{"undrain", "crash"}, 1},
                                          {{"run", "skew"}, 1},
                                          {{"change", "skew"}, 1},
                                          {{"cut one-way", "cut"}, 1},
                                          {{"delete", "cut one-way"}, 1}});
}
