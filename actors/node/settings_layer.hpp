#pragma once

/// Settings as they were written, before anybody asks what they mean, each with the place where it stands.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::node {

/// Where a setting stands.
struct origin {
  /// A file, "NOVACRON_LOG_LEVEL", "--log-level".
  std::string source;
  /// 0 where there are no lines.
  std::size_t line = 0;
};
std::string to_string(const origin& x);

/// What is wrong with one setting and what would be right.
struct problem {
  origin where;
  std::string key;
  /// As it was written; empty when the trouble is that there is none.
  std::string value;
  std::string text;
};
/// "nodes.toml:12: node.edge-1.listen = "x": must be HOST:PORT".
std::string to_string(const problem& x);

/// One value as written.
struct written {
  enum class kind : std::uint8_t { none, boolean, integer, number, text, list, table, other };
  kind is = kind::none;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;
  std::vector<written> items;
  std::map<std::string, written> fields;
  origin from;
  /// From a flag or the environment, where everything is text.
  bool untyped = false;
};
/// The value as it could stand in a file.
std::string to_string(const written& x);

/// All settings of one source: a table like the file's. `self` in it overrides the node that this process is.
struct layer {
  written settings;
  std::vector<problem> problems;
};

/// Reads TOML; `source` is what problems call it. Text larger than 1 MiB is a problem.
layer layer_from_toml(const std::string& source, std::string_view text);
/// Reads the NOVACRON_* variables that are settings; others are not looked at.
layer layer_from_environment(const std::map<std::string, std::string>& environment);
/// Settings from the command line: "log.level" for a section's, "listen" for the node's own. Lists have commas.
layer layer_from_flags(const std::map<std::string, std::string>& flags);

/// The settings that one can give by flag and variable: key to variable.
const std::map<std::string, std::string>& single_settings();

/// Lays `over` on `under`: tables field by field, everything else as a whole.
written overlay(const written& over, const written& under);

/// The one of `known` that `word` was probably meant to be; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

} // namespace novacron::node
