#include "actors/host/log.hpp"
#include "actors/simulation/plant.hpp"
#include "actors/simulation/scenario.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace novacron;
using namespace novacron::simulation;

namespace {

/// All that the rules speak of, under faults of all kinds: something that may run once, something that is replaced, and
/// something that ends with its lease; nearly all of the room there is; orders that keep coming.
const auto story = std::string{R"(
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
)"};

scenario read(plant what) {
  auto found = read_scenario(story, "story.nova", [](const std::string&) { return std::optional<std::string>{}; });
  for (const auto& wrong : found.errors)
    FAIL_CHECK(wrong);
  found.what.plan.settings.planted = what;
  return found.what;
}

/// The first seed whose history breaks a rule, and which; 0 when none up to `last` does.
std::pair<std::uint64_t, std::string> first_found(plant what, std::uint64_t last) {
  host::set_log_level(host::level::off);
  const auto planted = read(what);
  for (auto seed = std::uint64_t{1}; seed <= last; ++seed)
    if (const auto seen = player{planted, {.seed = seed}}.play(); !seen.violations.empty())
      return {seed, seen.violations.front().rule + ": " + seen.violations.front().text};
  return {};
}

} // namespace

// Takes as long as the seeds it needs; `spec -tc='*planted*' --no-skip` plays it.
SCENARIO("each bug that is planted breaks a rule within a thousand seeds" * doctest::skip()) {
  for (const auto what : plants) {
    const auto [seed, words] = first_found(what, 1000);
    MESSAGE(to_string(what) << ": seed " << seed << ", " << words);
    CHECK_MESSAGE(seed > 0, to_string(what));
  }
}

SCENARIO("without a planted bug the same story breaks none" * doctest::skip()) {
  const auto [seed, words] = first_found(plant::none, 25);
  CHECK_MESSAGE(seed == 0, "seed " << seed << ", " << words);
}
