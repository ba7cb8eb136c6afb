#include "actors/node/settings_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace novacron::node {
namespace {

struct unit {
  std::string_view name;
  double factor;
};

/// `text` as a number and one of `units`; nothing when it is not, or not below 2^53.
std::optional<double> parse_amount(std::string_view text, const std::vector<unit>& units) {
  auto number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !(number >= 0))
    return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  while (text.starts_with(' '))
    text.remove_prefix(1);
  constexpr auto exact_max = 9007199254740992.0;
  for (const auto& one : units)
    if (one.name == text && number * one.factor < exact_max)
      return number * one.factor;
  return {};
}

const std::vector<unit>& size_units() {
  static const auto all =
      std::vector<unit>{{"", 1},      {"B", 1},        {"kB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                        {"TB", 1e12}, {"KiB", 1024.0}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
  return all;
}

std::string choices_text(const std::vector<std::string>& choices) {
  auto out = std::string{"must be one of"};
  for (const auto& choice : choices)
    out += (&choice == &choices.front() ? " " : ", ") + choice;
  return out;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  const auto near = nearest(word, known);
  return near.empty() ? "" : "; did you mean \"" + near + "\"?";
}

} // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = parse_amount(text, size_units());
  if (!bytes)
    return {};
  return static_cast<std::uint64_t>(*bytes);
}

std::optional<std::chrono::milliseconds> parse_span(std::string_view text) {
  const auto length = parse_amount(text, {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}});
  if (!length)
    return {};
  return std::chrono::milliseconds{static_cast<std::int64_t>(*length)};
}

std::string print_size(std::uint64_t bytes) {
  constexpr auto names = std::array{"B", "KiB", "MiB", "GiB", "TiB"};
  auto i = std::size_t{0};
  for (; i + 1 < names.size() && bytes >= 1024 && bytes % 1024 == 0; ++i)
    bytes /= 1024;
  return fmt::format("{}{}", bytes, names[i]);
}

std::string print_span(std::chrono::milliseconds x) {
  const auto count = x.count();
  for (const auto& [length, name] : {std::pair{3600'000, "h"}, {60'000, "m"}, {1000, "s"}})
    if (count >= length && count % length == 0)
      return fmt::format("{}{}", count / length, name);
  return fmt::format("{}ms", count);
}

void settings_reader::complain(const written& value, const std::string& key, std::string text) {
  constexpr auto shown_max = std::size_t{80};
  auto shown = to_string(value);
  if (shown.size() > shown_max)
    shown.replace(shown_max, shown.npos, "...");
  problems.push_back({value.from, key, std::move(shown), std::move(text)});
}

void settings_reader::table(const written& value, const std::string& key, const std::vector<known>& all) {
  if (value.is != written::kind::table)
    return complain(value, key, "must be a table");
  auto names = std::vector<std::string>{};
  for (const auto& one : all)
    names.push_back(one.name);
  for (const auto& [name, field] : value.fields) {
    const auto full = key.empty() ? name : key + '.' + name;
    const auto found =
        std::find_if(all.begin(), all.end(), [&wanted = name](const known& x) { return x.name == wanted; });
    if (found == all.end())
      complain(field, full, "unknown key" + suggestion(name, names));
    else
      found->read(field, full);
  }
}

void settings_reader::list(const written& value, const std::string& key, const std::string& accepted,
                           const take& each) {
  if (value.is != written::kind::list)
    return complain(value, key, accepted);
  note(value, key);
  for (const auto& item : value.items)
    each(item, key);
}

settings_reader::take settings_reader::text(std::string& into, std::string accepted,
                                            std::function<bool(const std::string&)> fits) {
  return [this, &into, accepted, fits](const written& value, const std::string& key) {
    if (value.is != written::kind::text || !fits(value.text))
      return complain(value, key, accepted);
    note(value, key);
    into = value.text;
  };
}

settings_reader::take settings_reader::one_of(std::string& into, std::vector<std::string> choices) {
  return [this, &into, choices](const written& value, const std::string& key) {
    if (value.is != written::kind::text || std::find(choices.begin(), choices.end(), value.text) == choices.end())
      return complain(value, key, choices_text(choices) + suggestion(value.text, choices));
    note(value, key);
    into = value.text;
  };
}

settings_reader::take settings_reader::boolean(bool& into) {
  return [this, &into](const written& value, const std::string& key) {
    const auto spelled = value.untyped && (value.text == "true" || value.text == "false");
    if (value.is != written::kind::boolean && !spelled)
      return complain(value, key, "must be true or false");
    note(value, key);
    into = spelled ? value.text == "true" : value.boolean;
  };
}

settings_reader::take settings_reader::duration(std::chrono::milliseconds& into, std::chrono::milliseconds low,
                                                std::chrono::milliseconds high) {
  return [=, this, &into](const written& value, const std::string& key) {
    const auto length = value.is == written::kind::text ? parse_span(value.text) : std::nullopt;
    if (!length || *length < low || *length > high)
      return complain(value, key,
                      fmt::format("must be a time from \"{}\" to \"{}\"", print_span(low), print_span(high)));
    note(value, key);
    into = *length;
  };
}

settings_reader::take settings_reader::bytes(std::optional<std::uint64_t>& into, std::uint64_t low) {
  return [=, this, &into](const written& value, const std::string& key) {
    auto size = value.is == written::kind::text ? parse_size(value.text) : std::nullopt;
    if (value.is == written::kind::integer && value.integer >= 0)
      size = static_cast<std::uint64_t>(value.integer);
    if (!size || *size < low || *size > 1ull << 50)
      return complain(value, key, "must be a size such as \"512MiB\", from \"" + print_size(low) + "\" to \"1024TiB\"");
    note(value, key);
    into = *size;
  };
}

settings_reader::take settings_reader::milli(std::optional<std::uint64_t>& into, std::uint64_t low,
                                             std::uint64_t high) {
  return [=, this, &into](const written& value, const std::string& key) {
    auto number = -1.0;
    if (value.is == written::kind::integer)
      number = static_cast<double>(value.integer);
    else if (value.is == written::kind::number)
      number = value.number;
    const auto thousandths = number * 1000;
    if (!(thousandths >= static_cast<double>(low) && thousandths <= static_cast<double>(high)))
      return complain(value, key,
                      fmt::format("must be a number from {} to {}", static_cast<double>(low) / 1000, high / 1000));
    note(value, key);
    into = static_cast<std::uint64_t>(std::llround(thousandths));
  };
}

settings_reader::take settings_reader::address(std::optional<endpoint>& into) {
  return [this, &into](const written& value, const std::string& key) {
    const auto found = value.is == written::kind::text ? parse_endpoint(value.text) : std::nullopt;
    if (!found)
      return complain(value, key, "must be \"HOST:PORT\" with a port from 1 to 65535, such as \"127.0.0.1:7100\"");
    note(value, key);
    into = *found;
  };
}

settings_reader::take settings_reader::map(std::string accepted_names,
                                           std::function<bool(const std::string&)> name_fits, take each) {
  return [=, this](const written& value, const std::string& key) {
    if (value.is != written::kind::table)
      return complain(value, key, "must be a table such as { ssd = \"true\" }");
    note(value, key);
    for (const auto& [name, field] : value.fields) {
      if (!name_fits(name))
        complain(field, key + '.' + name, accepted_names);
      else
        each(field, key + '.' + name);
    }
  };
}

} // namespace novacron::node
