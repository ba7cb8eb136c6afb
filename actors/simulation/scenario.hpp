#pragma once

/// From the text of a scenario to steps that can be played, with everything checked before the first one is.

#include "actors/simulation/player.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::simulation {

struct reading {
  scenario what;
  /// All that is wrong, each with file, line, column, and what was probably meant.
  std::vector<std::string> errors;
};

/// Reads the file that an `include`, `run FILE` or `world FILE` names; nothing when it cannot be read.
using file_reader = std::function<std::optional<std::string>(const std::string& name)>;

/// Never throws. `file` is the scenario's own name, for errors and for files beside it.
reading read_scenario(std::string_view text, const std::string& file, const file_reader& files);

/// Reads statements that are said after `before` was played. Names of cuts and workloads are not checked.
reading read_more(const scenario& before, std::string_view text);

/// A statement of the language, for help and completion.
struct verb_help {
  std::string_view name;
  std::string_view usage;
  std::string_view summary;
};
const std::vector<verb_help>& world_verbs();

} // namespace novacron::simulation
