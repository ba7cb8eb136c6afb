#include "actors/simulation/plot.hpp"

#include "actors/host/files.hpp"
#include "actors/simulation/simulate.hpp"
#include "spec/full_disk.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>

using namespace novacron;

SCENARIO("a picture counts as people do") {
  using namespace std::chrono_literals;
  auto seen = simulation::outcome{.scenario = "days", .virtual_time = 72h};
  seen.samples.push_back({.when = 0s, .running = 15'000, .hosts_up = 1'001});
  const auto says = [&](const std::string& word) {
    return simulation::plot(seen).find(">" + word + "</text>") != std::string::npos;
  };
  for (const auto* word : {"12 h", "72 h", "16 k", "4000", "1200", "300", "75 %"})
    CHECK_MESSAGE(says(word), word);
  CHECK(!says("84 h"));
  CHECK(simulation::plot(seen).find("e+") == std::string::npos);
  seen.virtual_time = 10s;
  CHECK(says("1 s"));
  seen.virtual_time = 11s;
  CHECK(says("2 s"));
  CHECK(!says("1 s"));
  seen.virtual_time = 24h * 365;
  CHECK(says("50 d"));
}

SCENARIO("a picture is kept whole or not at all") {
  auto pattern = (std::filesystem::temp_directory_path() / "novacron-plot-XXXXXX").string();
  const auto home = std::filesystem::path{::mkdtemp(pattern.data())};
  const auto file = home / "run.svg";
  CHECK(simulation::keep_plot(file, "before").empty());
  CHECK(host::read_file(file) == "before");
  CHECK(spec::on_full_disk([&] { return simulation::keep_plot(file, "after").empty() ? 1 : 0; }) == 0);
  CHECK(host::read_file(file) == "before");
  THEN("what is no plain file is written, not replaced") {
    const auto link = home / "link";
    std::filesystem::create_symlink("/dev/null", link);
    CHECK(simulation::keep_plot(link, "picture").empty());
    CHECK(std::filesystem::is_symlink(link));
    CHECK(simulation::keep_plot("/dev/full", "picture").find("No space") != std::string::npos);
  }
  THEN("a simulation without its picture has failed") {
    const auto simulate = [](const char* picture) {
      return spec::in_child([&] {
        auto quiet = std::ostringstream{};
        std::cout.rdbuf(quiet.rdbuf());
        std::cerr.rdbuf(quiet.rdbuf());
        auto asked = shell::invocation{};
        asked.arguments = {HOUSE_ROOT "/spec/scenarios/first-steps.nova"};
        asked.flags = {{"plot", picture}};
        return simulation::run_simulate(asked);
      });
    };
    CHECK(simulate("/dev/null") == 0);
    CHECK(simulate("/dev/full") == 1);
  }
  std::filesystem::remove_all(home);
}
