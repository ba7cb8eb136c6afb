#pragma once

/// Amounts as people write and read them: "64MiB", "100ms", "0.5".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::shell {

/// "64MiB", "1.5GiB", "10kB", "4096"; nothing when it is no size, below one byte but not 0, or above 2^63.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// "100ms", "30s", "1h30m", "2d", "0" in milliseconds; nothing when it is none, finer than 1 ms, or above a century.
std::optional<std::uint64_t> parse_duration(std::string_view text);

/// "0.5", "2" or "250m" in thousandths; nothing when it is none, finer than a thousandth, or above a million.
std::optional<std::uint64_t> parse_milli(std::string_view text);

/// A whole number, with sign; nothing when it is none or does not fit.
std::optional<std::int64_t> parse_number(std::string_view text);

constexpr auto bytes_wanted = "a size such as \"64MiB\" or \"1.5GB\"";
constexpr auto duration_wanted = "a duration such as \"500ms\", \"30s\" or \"1h30m\"";
constexpr auto milli_wanted = "an amount such as 2, 0.5 or \"250m\"";

/// 67108864 -> "64MiB"; at most one digit after the point.
std::string print_bytes(std::uint64_t bytes);
/// 250 -> "0.25", 2000 -> "2".
std::string print_milli(std::uint64_t milli);
/// 185000 ms -> "3m": the largest unit that says enough.
std::string print_age(std::int64_t milliseconds);
/// Seconds with three digits that matter: "1.23ms".
std::string print_seconds(double seconds);
/// UTC, "2026-01-31T12:00:00.123Z".
std::string print_time(std::int64_t unix_milliseconds);

} // namespace novacron::shell
