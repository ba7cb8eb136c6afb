#pragma once

/// A scenario as text: statements with the places where they stand, so that errors can point at them.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::simulation {

/// Where something stands in a scenario; lines and columns count from 1.
struct position {
  std::string file;
  int line = 0;
  int column = 0;
};

struct script_error {
  position where;
  std::string text;
};
/// "file:line:column: text".
std::string to_string(const script_error& x);

struct word {
  std::string text;
  int column = 0;
  /// It stood in quotes, or has parts that did: it is not a number, a unit or a block.
  bool quoted = false;
};

struct statement {
  position where;
  std::vector<word> words;
  /// The text between the braces of a block, and the line it begins in; empty without a block.
  std::string block;
  int block_line = 0;
  bool has_block = false;
  /// The words as they stood from the second one on, for expressions.
  std::string rest;
  int rest_column = 0;

  const std::string& verb() const { return words.front().text; }
  position at(std::size_t word) const {
    return {where.file, where.line, word < words.size() ? words[word].column : where.column};
  }
};

struct script {
  std::vector<statement> statements;
  std::vector<script_error> errors;
};

/// Splits a text into statements: one per line or between `;`, `#` begins a comment, "..." and '...' hold words
/// together, and a line that ends in `{` begins a block that ends with a line that holds `}` alone.
/// Never throws, reads nothing but `text`. `first_line` is where the text begins in its file.
script parse_script(std::string_view text, const std::string& file, int first_line = 1);

/// Puts the values of variables in the place of `$name`; a name that is none is an error.
std::vector<script_error> fill_in(statement& x, const std::map<std::string, std::string>& variables);

} // namespace novacron::simulation
