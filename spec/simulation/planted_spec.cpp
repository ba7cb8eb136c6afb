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

/// A world of that many controllers and edges; `more` goes into it.
std::string world_of(int clouds, int edges, const std::string& more = "") {
  return "world {\n" + more + "[[hosts]]\nname = \"cloud\"\nrole = \"cloud\"\ncount = " + std::to_string(clouds) +
         "\n[[hosts]]\nname = \"edge\"\ncount = " + std::to_string(edges) + "\n}\nuntil nodes.ready == " +
         std::to_string(clouds + edges) + " within 2m\n";
}

std::string run(const std::string& name, int replicas, const std::string& on_disconnect, const std::string& cpu = "1",
                const std::string& image = "web:1") {
  return "run {\nname = \"" + name + "\"\nimage = \"" + image + "\"\nreplicas = " + std::to_string(replicas) +
         "\non_disconnect = \"" + on_disconnect + "\"\nresources = { cpu = " + cpu + ", memory = \"64MiB\" }\n}\n";
}

const auto storm = std::string{"weather storm for 8m\nadvance 8m\n"};

/// All that the rules speak of, under faults of all kinds: something that may run once, something that is replaced, and
/// something that ends with its lease; nearly all of the room there is; orders that keep coming.
const auto full_house = world_of(3, 6) + run("single", 1, "stop_after 10s") + run("kept", 2, "keep") +
                        run("web", 18, "replace") + "every 25s {\n" + run("extra", 2, "stop_after 10s") +
                        "}\nevery 40s stop extra\n" + storm + "every off\nstop extra\n";

/// Controllers far from one another, whose elections meet, and orders that keep coming.
const auto far_apart = world_of(3, 2, "election = \"300ms\"\n[network]\nlatency = \"80ms\"\njitter = \"40ms\"\n") +
                       "every 2s {\n" + run("web", 2, "keep", "0.1") + "}\nevery 3s {\n" +
                       run("web", 3, "keep", "0.1", "web:2") + "}\n" + storm + "every off\n";

/// Nothing but what may run once, and room to go elsewhere.
const auto singletons = world_of(3, 4) + run("single", 4, "stop_after 10s") + storm;

constexpr auto seed_max = std::uint64_t{1000};

struct finding {
  plant what;
  std::string story;
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
  for (const auto& story : {full_house, far_apart, singletons})
    for (auto seed = std::uint64_t{1}; seed <= 5; ++seed)
      CHECK(broken(read(story, plant::none), seed) == "");
  // A controller that was stuck decided from what it knew before; a node that was stuck still started what had gone
  // elsewhere meanwhile.
  for (const auto seed : {162, 827})
    CHECK(broken(read(full_house, plant::none), static_cast<std::uint64_t>(seed)) == "");
}
