#include "actors/node/settings_layer.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <numeric>

namespace novacron::node {
namespace {

constexpr auto text_bytes_max = std::size_t{1} << 20;

written convert(const toml::node& x, const std::string& source);

written convert_table(const toml::table& x, const std::string& source) {
  auto made = written{.is = written::kind::table};
  for (const auto& [key, value] : x) {
    auto field = convert(value, source);
    field.from.line = key.source().begin.line;
    made.fields.emplace(std::string{key.str()}, std::move(field));
  }
  return made;
}

written convert_list(const toml::array& x, const std::string& source) {
  auto made = written{.is = written::kind::list};
  for (const auto& item : x)
    made.items.push_back(convert(item, source));
  return made;
}

written convert_plain(const toml::node& x) {
  if (const auto* text = x.as_string())
    return {.is = written::kind::text, .text = text->get()};
  if (const auto* integer = x.as_integer())
    return {.is = written::kind::integer, .integer = integer->get()};
  if (const auto* number = x.as_floating_point())
    return {.is = written::kind::number, .number = number->get()};
  if (const auto* boolean = x.as_boolean())
    return {.is = written::kind::boolean, .boolean = boolean->get()};
  return {.is = written::kind::other, .text = "a date or time"};
}

written convert(const toml::node& x, const std::string& source) {
  auto made = x.is_table()   ? convert_table(*x.as_table(), source)
              : x.is_array() ? convert_list(*x.as_array(), source)
                             : convert_plain(x);
  made.from = {source, x.source().begin.line};
  return made;
}

std::vector<std::string> split(std::string_view text) {
  auto parts = std::vector<std::string>{};
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (comma > 0)
      parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

written plain_text(std::string text, const origin& from) {
  return {.is = written::kind::text, .text = std::move(text), .from = from, .untyped = true};
}

bool is_list(std::string_view key) {
  return key == "join" || key == "mounts";
}

/// Puts a setting given as text where the file would have it.
void put(written& table, const std::string& key, const std::string& text, const origin& from) {
  const auto dot = key.find('.');
  const auto section = dot == key.npos ? std::string{"self"} : key.substr(0, dot);
  auto& inside = table.fields[section];
  inside.is = written::kind::table;
  inside.from = from;
  auto& place = inside.fields[dot == key.npos ? key : key.substr(dot + 1)];
  if (!is_list(key)) {
    place = plain_text(text, from);
    return;
  }
  place = {.is = written::kind::list, .from = from};
  for (auto& part : split(text))
    place.items.push_back(plain_text(std::move(part), from));
}

std::string in_quotes(std::string_view text) {
  auto out = std::string{'"'};
  for (const auto c : text)
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    else
      out += c;
  return out + '"';
}

std::string joined(const std::vector<std::string>& parts) {
  auto out = std::string{};
  for (const auto& part : parts)
    out += (out.empty() ? "" : ", ") + part;
  return out;
}

} // namespace

std::string to_string(const origin& x) {
  return x.line == 0 ? x.source : fmt::format("{}:{}", x.source, x.line);
}

std::string to_string(const problem& x) {
  auto out = to_string(x.where);
  if (!x.key.empty())
    out += (out.empty() ? "" : ": ") + x.key;
  if (!x.value.empty())
    out += " = " + x.value;
  return out + ": " + x.text;
}

std::string to_string(const written& x) {
  auto parts = std::vector<std::string>{};
  switch (x.is) {
    case written::kind::none: return "nothing";
    case written::kind::boolean: return x.boolean ? "true" : "false";
    case written::kind::integer: return std::to_string(x.integer);
    case written::kind::number: return fmt::format("{}", x.number);
    case written::kind::text: return in_quotes(x.text);
    case written::kind::other: return x.text;
    case written::kind::list:
      for (const auto& item : x.items)
        parts.push_back(to_string(item));
      return '[' + joined(parts) + ']';
    case written::kind::table:
      for (const auto& [key, value] : x.fields)
        parts.push_back(key + " = " + to_string(value));
      return "{ " + joined(parts) + " }";
  }
  return {};
}

layer layer_from_toml(const std::string& source, std::string_view text) {
  auto made = layer{.settings = {.is = written::kind::table, .from = {source}}};
  if (text.size() > text_bytes_max) {
    made.problems.push_back({{source}, {}, {}, "is larger than 1 MiB"});
    return made;
  }
  try {
    made.settings = convert_table(toml::parse(text, source), source);
    made.settings.from = {source};
  } catch (const toml::parse_error& error) {
    const auto at = error.source().begin;
    made.problems.push_back({{source, at.line}, {}, {}, fmt::format("column {}: {}", at.column, error.description())});
  }
  if (made.settings.fields.erase("self") > 0)
    made.problems.push_back({{source}, "self", {}, "unknown section"});
  return made;
}

layer layer_from_environment(const std::map<std::string, std::string>& environment) {
  auto made = layer{.settings = {.is = written::kind::table, .from = {"environment"}}};
  for (const auto& [key, variable] : single_settings())
    if (const auto found = environment.find(variable); found != environment.end())
      put(made.settings, key, found->second, {variable});
  return made;
}

layer layer_from_flags(const std::map<std::string, std::string>& flags) {
  auto made = layer{.settings = {.is = written::kind::table, .from = {"flags"}}};
  for (const auto& [key, value] : flags) {
    auto flag = "--" + key;
    std::replace_if(
        flag.begin(), flag.end(), [](char c) { return c == '.' || c == '_'; }, '-');
    put(made.settings, key, value, {flag});
  }
  return made;
}

const std::map<std::string, std::string>& single_settings() {
  static const auto all = [] {
    auto made = std::map<std::string, std::string>{};
    for (const std::string key : {"fabric.name", "cache.redis", "log.level", "log.format", "scheduler.patience",
                                  "scheduler.policy", "trust.life", "name", "role", "listen", "api", "ledger", "join",
                                  "address", "zone", "region", "data_dir", "workloads", "masquerade", "mounts"}) {
      auto variable = "NOVACRON_" + key;
      std::transform(variable.begin(), variable.end(), variable.begin(), [](char c) {
        return c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      });
      made.emplace(key, std::move(variable));
    }
    return made;
  }();
  return all;
}

written overlay(const written& over, const written& under) {
  if (over.is == written::kind::none)
    return under;
  if (over.is != written::kind::table || under.is != written::kind::table)
    return over;
  auto both = under;
  both.from = over.from;
  for (const auto& [key, value] : over.fields) {
    const auto below = under.fields.find(key);
    both.fields[key] = below == under.fields.end() ? value : overlay(value, below->second);
  }
  return both;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  auto best = std::string{};
  constexpr auto word_length_max = std::size_t{64};
  if (word.size() > word_length_max)
    return best;
  // Two letters may be exchanged, and a third of a longer word may be wrong.
  auto best_distance = (word.size() < 4 ? 1 : std::max<std::size_t>(word.size() / 3, 2)) + 1;
  for (const auto& candidate : known) {
    auto row = std::vector<std::size_t>(candidate.size() + 1);
    std::iota(row.begin(), row.end(), 0u);
    for (auto i = std::size_t{0}; i < word.size(); ++i) {
      auto diagonal = std::exchange(row[0], i + 1);
      for (auto j = std::size_t{0}; j < candidate.size(); ++j) {
        const auto changed = diagonal + (word[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

} // namespace novacron::node
