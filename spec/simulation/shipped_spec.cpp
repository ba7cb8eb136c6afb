#include "actors/simulation/plot.hpp"
#include "actors/simulation/scenario.hpp"
#include "actors/simulation/swarm.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::simulation;

namespace {

/// The largest ones are played smaller here.
const auto smaller = std::map<std::string, std::map<std::string, std::string>>{
    {"full-house.nova", {{"hosts", "100"}}},
    {"openb.nova", {{"limit", "600"}}},
    {"thundering-herd.nova", {{"edges", "100"}}},
};

std::vector<std::string> shipped() {
  auto found = std::vector<std::string>{};
  for (const auto& x : std::filesystem::directory_iterator{HOUSE_ROOT "/spec/scenarios"})
    if (x.path().extension() == ".nova")
      found.push_back(x.path().string());
  std::ranges::sort(found);
  return found;
}

} // namespace

SCENARIO("every shipped scenario holds what it says, and one seed is one history in any process") {
  const auto files = shipped();
  REQUIRE(files.size() >= 10);
  for (const auto& file : files) {
    INFO(file);
    const auto name = std::filesystem::path{file}.filename().string();
    if (const auto data = std::filesystem::path{HOUSE_ROOT}.parent_path() / "shared/data/openb";
        name == "openb.nova" && !std::filesystem::exists(data)) {
      spec::skip("the openb trace in real time", "there is no " + data.string());
      continue;
    }
    const auto size = smaller.find(name);
    const auto read = read_scenario(*read_from_disk(file), file, read_from_disk,
                                    size == smaller.end() ? std::map<std::string, std::string>{} : size->second);
    for (const auto& wrong : read.errors)
      FAIL_CHECK(wrong);
    const auto seen = player{read.what, {.seed = read.what.seed, .keep_samples = true}}.play();
    for (const auto& x : seen.violations)
      FAIL_CHECK(x.rule << ": " << x.text);
    CHECK(seen.expectations > 0);
    CHECK(plot(seen).ends_with("</svg>\n"));
    // Each result comes from a process of its own.
    auto hashes = std::vector<std::uint64_t>{};
    run_swarm(read.what, read.what.seed, read.what.seed + 1, 2, false, [&](const seed_result& x) {
      CHECK_MESSAGE(x.violations == 0, x.first);
      CHECK((x.hash == seen.hash) == (x.seed == seen.seed));
      hashes.push_back(x.hash);
    });
    CHECK(hashes.size() == 2);
  }
}
