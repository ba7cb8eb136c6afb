#include "actors/simulation/plot.hpp"
#include "actors/simulation/scenario.hpp"
#include "actors/simulation/swarm.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace novacron;
using namespace novacron::simulation;

namespace {

std::optional<std::string> text_of(const std::string& name) {
  auto in = std::ifstream{name};
  if (!in)
    return {};
  auto text = std::ostringstream{};
  text << in.rdbuf();
  return text.str();
}

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
  REQUIRE(files.size() >= 4);
  for (const auto& file : files) {
    INFO(file);
    const auto read = read_scenario(*text_of(file), file, text_of);
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
