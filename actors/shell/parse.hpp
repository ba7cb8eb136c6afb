#pragma once

/// From words to a command of the table: flags, arguments, and what was probably meant when there is no such thing.

#include "actors/shell/commands.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

namespace novacron::shell {

/// A command with everything it was given.
struct invocation {
  command what;
  std::vector<std::string> arguments;
  /// Names without dashes; switches have the value "true".
  std::vector<std::pair<std::string, std::string>> flags;

  bool has(std::string_view flag) const;
  /// The last value given, or `fallback`.
  std::string get(std::string_view flag, std::string_view fallback = {}) const;
  std::vector<std::string> all(std::string_view flag) const;
  /// Checked when parsed, so that a present flag is a number.
  std::int64_t number(std::string_view flag, std::int64_t fallback) const;
  std::uint64_t milliseconds(std::string_view flag, std::uint64_t fallback) const;
  /// The argument at `index`, or "".
  std::string argument(std::size_t index) const;
};

struct usage_error {
  std::string text;
};
/// Help was asked for: of a command, a noun, or of all when empty.
struct help_wanted {
  std::string topic;
};
struct version_wanted {};

using parsed = std::variant<invocation, help_wanted, version_wanted, usage_error>;

/// Never throws, never touches anything outside.
parsed parse(const command_table& table, const std::vector<std::string>& words);

/// The word of `known` nearest to `word`, when it is near enough to be a slip of the finger.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

/// "; did you mean 'node'?" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

} // namespace novacron::shell
