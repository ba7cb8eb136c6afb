#include "actors/host/log.hpp"
#include "actors/simulation/plant.hpp"
#include "actors/simulation/scenario.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::simulation;

namespace {

/// All that the rules speak of, under faults of all kinds: something that may run once, something that is replaced, and
/// something that ends with its lease; nearly all of the room there is; orders that keep coming.
constexpr auto full_house = R"(
world {
  [[hosts]]
  name = "cloud"
  count = 3
  role = "cloud"
  [[hosts]]
  name = "edge"
  count = 6
}
until nodes.ready == 9 within 1m
run {
  name = "single"
  image = "one:1"
  on_disconnect = "stop_after 10s"
  resources = { cpu = 1, memory = "64MiB" }
}
run {
  name = "kept"
  image = "one:1"
  replicas = 2
  resources = { cpu = 1, memory = "64MiB" }
}
run {
  name = "web"
  image = "web:1"
  replicas = 18
  on_disconnect = "replace"
  resources = { cpu = 1, memory = "64MiB" }
}
every 25s {
  run {
    name = "extra"
    image = "web:1"
    replicas = 2
    on_disconnect = "stop_after 10s"
    resources = { cpu = 1, memory = "64MiB" }
  }
}
every 40s stop extra
weather storm for 8m
advance 8m
every off
stop extra
)";

/// Controllers far from one another, whose elections meet, and orders that keep coming.
constexpr auto far_apart = R"(
world {
  election = "300ms"
  [network]
  latency = "80ms"
  jitter = "40ms"
  [[hosts]]
  name = "cloud"
  count = 3
  role = "cloud"
  [[hosts]]
  name = "edge"
  count = 2
}
until nodes.ready == 5 within 2m
every 2s {
  run {
    name = "web"
    image = "web:1"
    replicas = 2
    resources = { cpu = 0.1, memory = "64MiB" }
  }
}
every 3s {
  run {
    name = "web"
    image = "web:2"
    replicas = 3
    resources = { cpu = 0.1, memory = "64MiB" }
  }
}
weather storm for 8m
advance 8m
every off
)";

/// Nothing but what may run once, and room to go elsewhere.
constexpr auto singletons = R"(
world {
  [[hosts]]
  name = "cloud"
  count = 3
  role = "cloud"
  [[hosts]]
  name = "edge"
  count = 4
}
until nodes.ready == 7 within 1m
run {
  name = "single"
  image = "one:1"
  replicas = 4
  on_disconnect = "stop_after 10s"
  resources = { cpu = 1, memory = "64MiB" }
}
weather storm for 8m
advance 8m
)";

constexpr auto seed_max = std::uint64_t{1000};

struct finding {
  plant what;
  const char* story;
  /// Where it was found last: looked at first, so that this takes seconds.
  std::uint64_t seed;
};

const auto findings = std::vector<finding>{
    {plant::early_answer, full_house, 3},     {plant::many_votes, far_apart, 5},
    {plant::uneven_truth, full_house, 1},     {plant::lost_news, full_house, 3},
    {plant::stale_assignment, full_house, 1}, {plant::doubled_capacity, full_house, 1},
    {plant::deaf_lease, singletons, 3},       {plant::wall_lease, singletons, 54},
    {plant::leaky_end, full_house, 1},        {plant::blind_sweep, full_house, 5},
    {plant::no_redial, full_house, 1},
};

scenario read(const std::string& story, plant what) {
  auto found = read_scenario(story, "story.nova", [](const std::string&) { return std::optional<std::string>{}; });
  for (const auto& wrong : found.errors)
    FAIL_CHECK(wrong);
  found.what.plan.settings.planted = what;
  return found.what;
}

/// The rule that is broken first in that history; empty when none is.
std::string broken(const scenario& what, std::uint64_t seed) {
  const auto seen = player{what, {.seed = seed}}.play();
  return seen.violations.empty() ? "" : seen.violations.front().rule + ": " + seen.violations.front().text;
}

} // namespace

SCENARIO("each bug that is planted breaks a rule within a thousand seeds") {
  host::set_log_level(host::level::off);
  CHECK(findings.size() == plants.size());
  for (const auto what : plants) {
    CAPTURE(to_string(what));
    const auto known = std::ranges::find(findings, what, &finding::what);
    REQUIRE(known != findings.end());
    const auto planted = read(known->story, what);
    auto seed = known->seed;
    auto words = broken(planted, seed);
    for (seed = words.empty() ? 1 : seed; words.empty() && seed <= seed_max; ++seed)
      words = broken(planted, seed);
    CHECK_MESSAGE(!words.empty(), "nothing was broken in " << seed_max << " histories");
  }
}

SCENARIO("without a planted bug the same stories break no rule") {
  host::set_log_level(host::level::off);
  for (const auto* story : {full_house, far_apart, singletons})
    for (auto seed = std::uint64_t{1}; seed <= 5; ++seed)
      CHECK(broken(read(story, plant::none), seed) == "");
  // A controller that was stuck decided from what it knew before; a node that was stuck still started what had gone
  // elsewhere meanwhile.
  for (const auto seed : {162, 827})
    CHECK(broken(read(full_house, plant::none), static_cast<std::uint64_t>(seed)) == "");
}
