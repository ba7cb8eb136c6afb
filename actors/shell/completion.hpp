#pragma once

/// What could come next on a command line, from the table of commands and the names in the fabric.

#include "actors/shell/commands.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::shell {

struct candidate {
  /// Replaces the word so far.
  std::string text;
  std::string help;
  /// The word is complete with it, so that a space may follow.
  bool whole = true;
};

/// Names of a kind that exist right now; of messages, those that the actor `context` accepts; of files, those that
/// begin with `context`.
using name_source = std::function<std::vector<std::string>(kind, const std::string& context)>;

/// Candidates for the word `fragment` that follows `words`.
std::vector<candidate> complete(const command_table& table, const std::vector<std::string>& words,
                                const std::string& fragment, const name_source& names);

/// Candidates for JSON that is being written of the message called `message`: fields, enum values, brackets.
/// Their texts replace `json` as a whole.
std::vector<candidate> complete_json(std::string_view message, const std::string& json);

/// The script that a shell ("bash", "zsh", "fish") has to read.
std::string completion_script(std::string_view shell);

} // namespace novacron::shell
