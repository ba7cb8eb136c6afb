#pragma once

/// A world as people write it down: hosts, their network, and how images behave. TOML, checked as a whole.

#include "actors/simulation/network.hpp"
#include "actors/simulation/world.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::simulation {

struct link_plan {
  std::string from;
  std::string to;
  way_quality quality;
};

struct world_plan {
  std::vector<host_plan> hosts;
  std::vector<link_plan> links;
  way_quality usual{.latency = std::chrono::milliseconds{1}, .jitter = std::chrono::microseconds{200}};
  std::map<std::string, image_behavior> images;
  world_config settings;
};

/// Reads the file of a name; nothing when it cannot be read.
using file_reader = std::function<std::optional<std::string>(const std::string& name)>;

/// Never throws. `first_line` is where the text begins in `file`; names of other files begin beside it.
world_plan parse_world(std::string_view text, const std::string& file, int first_line, const file_reader& files,
                       std::vector<std::string>& errors);

/// How images behave, written as one entry of `images` is: name, start, runs, ...
std::map<std::string, image_behavior> parse_images(std::string_view text, const std::string& file, int first_line,
                                                   std::vector<std::string>& errors);

/// Which hosts a word means: a name, "edge-*", "edge-1..edge-10", "zone=plant-a", "region=eu", "role=edge", "all", or
/// several of these with commas between. Empty, with the reason in `wrong`, when there are none.
host_set select_hosts(const std::vector<host_plan>& hosts, std::string_view word, std::string& wrong);

/// What follows the world on its line: the world with everything a plan says.
std::unique_ptr<world> build_world(const world_plan& plan, std::uint64_t seed);

} // namespace novacron::simulation
