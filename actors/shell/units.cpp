#include "actors/shell/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <ctime>
#include <utility>

namespace novacron::shell {
namespace {

__extension__ using wide = __int128;

/// A decimal number in billionths, so that no fraction is lost to binary floating point.
struct decimal {
  wide billionths = 0;
  std::string_view rest;
};

constexpr wide billion = 1'000'000'000;
constexpr auto digits_max = 19;

std::optional<decimal> take_decimal(std::string_view text) {
  auto value = wide{0};
  auto at = std::size_t{0};
  const auto digit = [&] { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  for (; digit(); ++at) {
    if (at >= digits_max)
      return {};
    value = value * 10 + (text[at] - '0');
  }
  if (at == 0)
    return {};
  value *= billion;
  if (at < text.size() && text[at] == '.') {
    ++at;
    const auto first = at;
    for (auto place = billion / 10; digit(); ++at, place /= 10) {
      if (place == 0)
        return {};
      value += place * (text[at] - '0');
    }
    if (at == first)
      return {};
  }
  return decimal{value, text.substr(at)};
}

using unit = std::pair<std::string_view, std::uint64_t>;

template <std::size_t N>
std::optional<std::uint64_t> factor(std::string_view name, const std::array<unit, N>& units) {
  for (const auto& [known, value] : units)
    if (known == name)
      return value;
  return {};
}

constexpr auto k = std::uint64_t{1000};
constexpr auto ki = std::uint64_t{1024};
constexpr auto sizes = std::array<unit, 17>{{{"", 1},
                                             {"B", 1},
                                             {"kB", k},
                                             {"KB", k},
                                             {"MB", k* k},
                                             {"GB", k* k* k},
                                             {"TB", k* k* k* k},
                                             {"PB", k* k* k* k* k},
                                             {"KiB", ki},
                                             {"MiB", ki* ki},
                                             {"GiB", ki* ki* ki},
                                             {"TiB", ki* ki* ki* ki},
                                             {"PiB", ki* ki* ki* ki* ki},
                                             {"Ki", ki},
                                             {"Mi", ki* ki},
                                             {"Gi", ki* ki* ki},
                                             {"Ti", ki* ki* ki* ki}}};
constexpr auto times = std::array<unit, 5>{{{"ms", 1}, {"s", k}, {"m", 60 * k}, {"h", 3600 * k}, {"d", 24 * 3600 * k}}};

constexpr auto bytes_max = static_cast<wide>(std::uint64_t{1} << 63);
/// Chosen: whoever writes more than a century means something else.
constexpr auto duration_max = static_cast<wide>(100 * 366) * 24 * 3600 * 1000;
/// Chosen: a million cores in one instance is a mistake.
constexpr auto milli_max = static_cast<wide>(1'000'000'000);

std::string trimmed(double value, int places) {
  auto text = fmt::format("{:.{}f}", value, places);
  if (text.find('.') != text.npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.')
      text.pop_back();
  }
  return text;
}

} // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number)
    return {};
  const auto unit = factor(number->rest, sizes);
  // The largest unit is 2^50 and the largest number 2^94: their product would not fit.
  if (!unit || number->billionths / billion > bytes_max / static_cast<wide>(*unit))
    return {};
  const auto exact = number->billionths * static_cast<wide>(*unit);
  const auto bytes = exact / billion;
  if (bytes > bytes_max || (bytes == 0 && exact != 0))
    return {};
  return static_cast<std::uint64_t>(bytes);
}

std::optional<std::uint64_t> parse_duration(std::string_view text) {
  if (text == "0")
    return 0;
  if (text.empty())
    return {};
  auto sum = wide{0};
  while (!text.empty()) {
    const auto number = take_decimal(text);
    if (!number)
      return {};
    const auto length = number->rest.find_first_of("0123456789.");
    const auto unit = factor(number->rest.substr(0, length), times);
    if (!unit || number->billionths / billion > duration_max)
      return {};
    const auto exact = number->billionths * static_cast<wide>(*unit);
    if (exact % billion != 0)
      return {};
    sum += exact / billion;
    if (sum > duration_max)
      return {};
    text = length == text.npos ? std::string_view{} : number->rest.substr(std::min(length, number->rest.size()));
  }
  return static_cast<std::uint64_t>(sum);
}

std::optional<std::uint64_t> parse_milli(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number || (!number->rest.empty() && number->rest != "m"))
    return {};
  const auto exact = number->rest == "m" ? number->billionths : number->billionths * 1000;
  if (exact % billion != 0 || exact / billion > milli_max)
    return {};
  return static_cast<std::uint64_t>(exact / billion);
}

std::optional<std::int64_t> parse_number(std::string_view text) {
  if (text.starts_with('+'))
    text.remove_prefix(1);
  auto value = std::int64_t{0};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    return {};
  return value;
}

std::string print_bytes(std::uint64_t bytes) {
  constexpr auto names = std::array{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  auto unit = std::size_t{0};
  // 1023.95 would be shown as 1024.0 of the smaller unit.
  while (value >= 1023.95 && unit + 1 < names.size()) {
    value /= 1024;
    ++unit;
  }
  return trimmed(value, 1) + names[unit];
}

std::string print_milli(std::uint64_t milli) {
  return trimmed(static_cast<double>(milli) / 1000, 3);
}

std::string print_age(std::int64_t milliseconds) {
  const auto seconds = std::max<std::int64_t>(0, milliseconds / 1000);
  if (seconds < 120)
    return fmt::format("{}s", seconds);
  if (seconds < 120 * 60)
    return fmt::format("{}m", seconds / 60);
  if (seconds < 48 * 3600)
    return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / (24 * 3600));
}

std::string print_seconds(double seconds) {
  if (seconds >= 1)
    return fmt::format("{:.3g}s", seconds);
  if (seconds >= 1e-3)
    return fmt::format("{:.3g}ms", seconds * 1e3);
  return fmt::format("{:.3g}us", seconds * 1e6);
}

std::string print_time(std::int64_t unix_milliseconds) {
  const auto seconds = static_cast<std::time_t>(unix_milliseconds / 1000);
  auto parts = std::tm{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, unix_milliseconds % 1000);
}

} // namespace novacron::shell
