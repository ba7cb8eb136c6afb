#pragma once

/// How answers look: tables that fit the terminal, JSON as it came, YAML, or names.

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::shell {

enum class format { table, wide, json, yaml, name };

/// Nothing of this is asked anew while a command runs, so that a spec can set it.
struct output_options {
  format as = format::table;
  bool headers = true;
  bool quiet = false;
  bool color = false;
  /// Width of the terminal; 0 means that there is none and nothing is cut.
  int columns = 0;
};

format parse_format(std::string_view text);

struct column {
  std::string title;
  /// Only shown with `-o wide`.
  bool wide = false;
  /// Numbers stand to the right.
  bool right = false;
};

/// Rows of cells below columns. What follows the last column that fits the terminal is cut with an ellipsis.
struct table {
  std::vector<column> columns;
  std::vector<std::vector<std::string>> rows;
  /// The noun before the names of `-o name`, as in "node/edge-1"; the name is the first cell.
  std::string noun;
};

/// Prints `x` as table, wide table, or names.
void print(std::ostream& out, const table& x, const output_options& options);

/// JSON text as YAML; every string that could be taken for something else is quoted. "" when it is no JSON.
std::string to_yaml(std::string_view json);

/// JSON text with line breaks and two spaces; unchanged when it is no JSON.
std::string pretty_json(std::string_view json);

/// Text without control characters, so that no name from the fabric can drive the terminal.
std::string harmless(std::string_view text);

/// "running" in green, "failed" in red, and so on; unchanged without colours.
std::string colored(const std::string& cell, const std::string& text);

/// Sends out what was written so far. Throws `failure` when it did not arrive (a full disk), `reader_gone` when nobody
/// wants it any more.
void deliver(std::ostream& out);

/// How many columns of a terminal UTF-8 text takes, one per character.
std::size_t width(std::string_view text);

} // namespace novacron::shell
