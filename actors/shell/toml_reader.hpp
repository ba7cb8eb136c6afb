#pragma once

/// Reads TOML by lists of keys, and says for each thing that is wrong where it stands and what is accepted.

#include "actors/shell/parse.hpp"
#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace novacron::shell {

class toml_reader {
public:
  /// A value and the path of keys to it.
  struct place {
    const toml::node& node;
    std::string path;
  };
  struct key {
    std::string name;
    std::function<void(place)> take;
  };

  toml_reader(std::string_view file, std::vector<std::string>& errors) : file{file}, errors{errors} {}

  std::optional<toml::table> parse(std::string_view text) {
    try {
      return toml::parse(text, file);
    } catch (const toml::parse_error& wrong) {
      errors.push_back(fmt::format("{}:{}: {}", file, wrong.source().begin.line, wrong.description()));
      return {};
    }
  }

  /// Hands each key of `source` to its taker; one that is not in the list is an error.
  void read(const toml::table& source, const std::string& where, const std::vector<key>& keys) {
    for (const auto& [name, node] : source) {
      const auto found = std::ranges::find(keys, name.str(), &key::name);
      if (found != keys.end())
        found->take({node, where + std::string{name.str()}});
      else
        unknown(name, where, keys);
    }
  }

  void complain(const place& at, std::string_view wanted) {
    errors.push_back(fmt::format("{}:{}: {} is {}, but must be {}", file, at.node.source().begin.line, at.path,
                                 shown(at.node), wanted));
  }
  void complain(const toml::table& t, const std::string& path, std::string_view wanted) {
    errors.push_back(fmt::format("{}:{}: {} does not fit: give {}", file, t.source().begin.line,
                                 path.ends_with('.') ? path.substr(0, path.size() - 1) : path, wanted));
  }
  void miss(const toml::table& t, const std::string& where, std::string_view name, std::string_view wanted) {
    errors.push_back(
        fmt::format("{}:{}: {}{} is missing: {}", file, std::max(1u, t.source().begin.line), where, name, wanted));
  }

  template <class Take>
  void text(const place& at, Take take) {
    if (const auto* x = at.node.as_string(); x && x->get().find('\0') == std::string::npos)
      take(x->get());
    else
      complain(at, "a text in quotes");
  }
  template <class Take>
  void yes_no(const place& at, Take take) {
    if (const auto* x = at.node.as_boolean())
      take(x->get());
    else
      complain(at, "true or false");
  }
  template <class Take>
  void whole(const place& at, std::int64_t least, std::int64_t most, Take take) {
    const auto* x = at.node.as_integer();
    if (x && x->get() >= least && x->get() <= most)
      take(x->get());
    else
      complain(at, fmt::format("a whole number from {} to {}", least, most));
  }
  template <class Take>
  void real(const place& at, double least, double most, Take take) {
    const auto x = at.node.is_number() ? at.node.value<double>() : std::nullopt;
    // So written that what is no number is refused.
    if (x && *x >= least && *x <= most)
      take(*x);
    else
      complain(at, fmt::format("a number from {} to {}", least, most));
  }
  template <class Take>
  void bytes(const place& at, Take take) {
    measured(at, parse_bytes, bytes_wanted, take);
  }
  template <class Take>
  void milli(const place& at, Take take) {
    measured(at, parse_milli, milli_wanted, take);
  }
  template <class Take>
  void duration(const place& at, Take take) {
    if (const auto* x = at.node.as_string())
      if (const auto value = parse_duration(x->get()))
        return take(*value);
    complain(at, duration_wanted);
  }
  template <class Value, class Take>
  void choose(const place& at, const std::vector<std::pair<std::string, Value>>& choices, Take take) {
    auto names = std::vector<std::string>{};
    for (const auto& [name, value] : choices) {
      names.push_back(name);
      if (const auto* x = at.node.as_string(); x && x->get() == name)
        return take(value);
    }
    const auto* x = at.node.as_string();
    auto wanted = std::string{"one of"};
    for (const auto& name : names)
      wanted += (wanted.ends_with("of") ? " \"" : ", \"") + name + "\"";
    complain(at, wanted + (x ? did_you_mean(x->get(), names) : std::string{}));
  }
  template <class Take>
  void texts(const place& at, Take take) {
    each(at, "a list of texts", [&](const place& item) { text(item, take); });
  }
  template <class Take>
  void table(const place& at, Take take) {
    if (const auto* x = at.node.as_table())
      take(*x, at.path + ".");
    else
      complain(at, "a table of keys and values");
  }
  template <class Take>
  void tables(const place& at, Take take) {
    each(at, "a list of tables", [&](const place& item) { table(item, take); });
  }
  template <class TakeText, class TakeTable>
  void texts_or_tables(const place& at, TakeText take_text, TakeTable take_table) {
    each(at, "a list of texts or tables", [&](const place& item) {
      if (item.node.is_string())
        text(item, take_text);
      else if (const auto* x = item.node.as_table())
        take_table(*x, item.path + ".");
      else
        complain(item, "a text in quotes or a table");
    });
  }
  template <class Map>
  void map(const place& at, Map& into) {
    table(at, [&](const toml::table& t, const std::string& where) {
      for (const auto& [name, node] : t) {
        const auto key = std::string{name.str()};
        text({node, where + key}, [&](std::string v) { into[key] = std::move(v); });
      }
    });
  }
  template <class Map>
  void counts(const place& at, Map& into) {
    table(at, [&](const toml::table& t, const std::string& where) {
      for (const auto& [name, node] : t) {
        const auto key = std::string{name.str()};
        whole({node, where + key}, 0, 1'000'000, [&](auto v) { into[key] = static_cast<std::uint64_t>(v); });
      }
    });
  }

private:
  /// Numbers with a unit are texts; without one they may be written as numbers.
  template <class Parse, class Take>
  void measured(const place& at, Parse parse, std::string_view wanted, Take take) {
    auto found = std::optional<std::uint64_t>{};
    if (const auto* x = at.node.as_string())
      found = parse(x->get());
    else if (const auto* n = at.node.as_integer())
      found = parse(std::to_string(n->get()));
    else if (const auto* d = at.node.as_floating_point())
      found = parse(fmt::format("{}", d->get()));
    found ? take(*found) : complain(at, wanted);
  }

  template <class Take>
  void each(const place& at, std::string_view wanted, Take take) {
    const auto* list = at.node.as_array();
    if (!list)
      return complain(at, wanted);
    auto index = 0;
    for (const auto& node : *list)
      take({node, fmt::format("{}[{}]", at.path, index++)});
  }

  void unknown(const toml::key& name, const std::string& where, const std::vector<key>& keys) {
    auto known = std::vector<std::string>{};
    auto listed = std::string{};
    for (const auto& x : keys) {
      known.push_back(x.name);
      listed += (listed.empty() ? "" : ", ") + x.name;
    }
    errors.push_back(fmt::format("{}:{}: {}{} is not a key{}; known are {}", file, name.source().begin.line, where,
                                 std::string{name.str()}, did_you_mean(name.str(), known), listed));
  }

  static std::string shown(const toml::node& x) {
    if (const auto* text = x.as_string())
      return "\"" + text->get().substr(0, 80) + "\"";
    if (const auto* n = x.as_integer())
      return std::to_string(n->get());
    if (const auto* d = x.as_floating_point())
      return fmt::format("{}", d->get());
    if (const auto* b = x.as_boolean())
      return b->get() ? "true" : "false";
    return x.is_table() ? "a table" : x.is_array() ? "a list" : "a date or time";
  }

  std::string_view file;
  std::vector<std::string>& errors;
};

} // namespace novacron::shell
