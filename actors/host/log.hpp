#pragma once

/// Structured log lines on stderr: human on a terminal, JSON otherwise; the level changes live, for all or per actor.

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace novacron::host {

enum class level : std::uint8_t { trace, debug, info, warn, error, off };

/// "trace", "debug", "info", "warn", "error", "off".
std::string_view to_string(level x);
/// The level called `text`, nothing when there is none.
std::optional<level> parse_level(std::string_view text);

enum class log_format : std::uint8_t { automatic, human, json };

/// A key and its value, next to the text of a line.
struct field {
  std::string_view key;
  std::string value;
};

/// What one line says.
struct log_line {
  std::chrono::system_clock::time_point time;
  level severity = level::info;
  std::string_view actor;
  std::string_view node;
  std::string_view text;
  std::vector<field> fields;
};

/// `2026-01-31T23:59:59.123Z`.
std::string rfc3339(std::chrono::system_clock::time_point x);
/// `text` as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);
/// The line as one JSON object with ts, level, msg, actor, node and the fields; bytes that are no UTF-8 become U+FFFD.
std::string json_line(const log_line& x);
/// The line for a person; `colour` only for terminals.
std::string human_line(const log_line& x, bool colour);

/// Chooses how lines look; automatic asks whether stderr is a terminal. NO_COLOR is honoured.
void set_log_format(log_format x);
/// The name of this node, in every line from now on.
void set_log_node(std::string name);
/// Where lines go instead of stderr (specs, tests); an empty function means stderr again.
void set_log_sink(std::function<void(std::string_view line)> sink);

/// Lines below `x` are dropped, but for actors with a level of their own.
void set_log_level(level x);
/// Actors whose name begins with `prefix` have this level; the longest prefix wins. An empty prefix means all actors.
void set_log_level(std::string_view prefix, level x);
/// Forgets every level that was set for a prefix.
void clear_log_levels();
/// The levels in force: "" is the one for all.
std::map<std::string, level> log_levels();

/// Whether a line would be written; costs one atomic load when nobody wants this level.
bool log_enabled(level severity, std::string_view actor);

/// Writes a line that is known to be wanted. Use the functions below.
void write_log(level severity, std::string_view actor, std::string_view text, std::initializer_list<field> fields = {});
void write_log(level severity, std::string_view actor, fmt::string_view pattern, fmt::format_args values,
               std::initializer_list<field> fields);

template <class... Values>
void log(level severity, std::string_view actor, std::initializer_list<field> fields,
         fmt::format_string<Values...> pattern, Values&&... values) {
  if (log_enabled(severity, actor))
    write_log(severity, actor, fmt::string_view{pattern}, fmt::make_format_args(values...), fields);
}

template <class... Values>
void log_debug(std::string_view actor, fmt::format_string<Values...> pattern, Values&&... values) {
  log(level::debug, actor, {}, pattern, std::forward<Values>(values)...);
}
template <class... Values>
void log_info(std::string_view actor, fmt::format_string<Values...> pattern, Values&&... values) {
  log(level::info, actor, {}, pattern, std::forward<Values>(values)...);
}
template <class... Values>
void log_warn(std::string_view actor, fmt::format_string<Values...> pattern, Values&&... values) {
  log(level::warn, actor, {}, pattern, std::forward<Values>(values)...);
}
template <class... Values>
void log_error(std::string_view actor, fmt::format_string<Values...> pattern, Values&&... values) {
  log(level::error, actor, {}, pattern, std::forward<Values>(values)...);
}

/// Lets each key through once per period and counts what it held back.
class rate_limit {
public:
  explicit rate_limit(std::chrono::nanoseconds period, std::size_t keys_max = 1024);
  /// How many were held back since the last one, when this one may pass; else nothing.
  std::optional<std::uint64_t> admit(std::string_view key, std::chrono::steady_clock::time_point now);

private:
  struct seen {
    std::chrono::steady_clock::time_point last;
    std::uint64_t held_back = 0;
  };
  void make_room(std::chrono::steady_clock::time_point now);

  std::chrono::nanoseconds period_;
  std::size_t keys_max_;
  std::map<std::string, seen, std::less<>> seen_;
};

/// Whether the line that `key` names may be written now: at most once in 10 s; says how many were held back before.
std::optional<std::uint64_t> admit_repeated(std::string_view actor, std::string_view key);

/// For what may happen a thousand times a second: the same actor and pattern at most once in 10 s, with the number of
/// lines held back as the field `repeated`.
template <class... Values>
void log_rarely(level severity, std::string_view actor, fmt::format_string<Values...> pattern, Values&&... values) {
  if (!log_enabled(severity, actor))
    return;
  const auto shape = fmt::string_view{pattern};
  if (const auto held = admit_repeated(actor, {shape.data(), shape.size()}))
    write_log(severity, actor, shape, fmt::make_format_args(values...), {{"repeated", std::to_string(*held)}});
}

} // namespace novacron::host
