#pragma once

/// A line of the shell as words: quotes, comments, `;`, and JSON that needs no quotes.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::shell {

struct command_line {
  std::vector<std::vector<std::string>> commands;
  /// What is wrong with the line, empty when nothing is.
  std::string error;
};

/// Splits at spaces and `;`. 'single' and "double" quotes, backslashes, `#` comments as in other shells; a word that
/// begins with `{` reaches to its closing brace, so that JSON can be typed as it is.
command_line split(std::string_view text);

/// The last command of an unfinished line, for completion.
struct unfinished {
  std::vector<std::string> words;
  /// The word at the cursor so far, without its quotes, and where its content begins in the line.
  std::string fragment;
  std::size_t start = 0;
  /// The quote that is still open, 0 for none.
  char quote = 0;
};
unfinished split_unfinished(std::string_view line);

} // namespace novacron::shell
