#pragma once

/// From the text of a scenario to steps that can be played, with everything checked before the first one is.

#include "actors/simulation/player.hpp"

#include <map>
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

/// Never throws. `file` is the scenario's own name, for errors and for files beside it; `files` reads what an
/// `include`, `run FILE`, `world FILE` or `replay FILE` names. Variables in `given` have that value, whatever their
/// `let` says.
reading read_scenario(std::string_view text, const std::string& file, const file_reader& files,
                      const std::map<std::string, std::string>& given = {});

/// A file of this machine, unpacked when it is packed; nothing when it cannot be read.
std::optional<std::string> read_from_disk(const std::string& name);

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
