#include "actors/shell/parse.hpp"

#include "actors/shell/units.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <span>
#include <utility>

namespace novacron::shell {
namespace {

/// How many letters have to be changed, added, dropped or swapped with their neighbour.
std::size_t distance(std::string_view a, std::string_view b) {
  auto rows = std::vector<std::vector<std::size_t>>(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (auto i = std::size_t{0}; i <= a.size(); ++i)
    for (auto j = std::size_t{0}; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = i + j;
        continue;
      }
      const auto change = rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  return rows[a.size()][b.size()];
}

/// What people who come from other tools say, and how it is called here.
constexpr auto foreign_commands = std::array{std::pair{"apply", "run"},
                                             std::pair{"attach", "exec"},
                                             std::pair{"cordon", "drain"},
                                             std::pair{"create", "run"},
                                             std::pair{"describe", "workload show"},
                                             std::pair{"destroy", "delete"},
                                             std::pair{"get", "workload list"},
                                             std::pair{"info", "node list"},
                                             std::pair{"inspect", "workload show"},
                                             std::pair{"kill", "stop"},
                                             std::pair{"list", "ps"},
                                             std::pair{"ls", "ps"},
                                             std::pair{"monitor", "events"},
                                             std::pair{"remove", "delete"},
                                             std::pair{"rm", "delete"},
                                             std::pair{"server", "dev"},
                                             std::pair{"ssh", "exec"},
                                             std::pair{"start", "run"},
                                             std::pair{"status", "ps"},
                                             std::pair{"submit", "run"},
                                             std::pair{"ui", "web"},
                                             std::pair{"uncordon", "undrain"},
                                             std::pair{"up", "dev"}};
constexpr auto foreign_verbs =
    std::array{std::pair{"add", "create"},   std::pair{"describe", "show"}, std::pair{"get", "show"},
               std::pair{"inspect", "show"}, std::pair{"load", "import"},   std::pair{"ls", "list"},
               std::pair{"new", "create"},   std::pair{"pull", "import"},   std::pair{"remove", "delete"},
               std::pair{"rm", "delete"},    std::pair{"start", "create"},  std::pair{"unpause", "resume"}};

/// "; did you mean 'run'?" for a word of another tool, "" for any other word.
std::string translated(std::string_view word, std::span<const std::pair<const char*, const char*>> words,
                       const std::function<bool(const std::string&)>& exists) {
  for (const auto& [foreign, ours] : words)
    if (word == foreign && exists(ours))
      return fmt::format("; did you mean '{}'?", ours);
  return {};
}

/// Long words are compared only this far; nobody mistypes more.
constexpr auto word_max = std::size_t{64};

class reading {
public:
  reading(const command_table& table, const std::vector<std::string>& words) : table{table}, words{words} {}

  parsed read() {
    if (auto done = choose())
      return std::move(*done);
    if (wants_help)
      return help_wanted{found.what.path};
    while (at < words.size())
      if (auto done = take_word())
        return std::move(*done);
    return check_arguments();
  }

private:
  std::optional<parsed> choose() {
    // Flags before the command are common flags, except for the one that names a role.
    while (at < words.size() && words[at].starts_with('-') && words[at].size() > 1) {
      if (starts_node())
        break;
      if (words[at] == "--version" || words[at] == "-V")
        return version_wanted{};
      if (auto done = take_flag())
        return done;
    }
    if (at == words.size())
      return help_wanted{};
    if (starts_node()) {
      found.what = *table.find("--role");
      return {};
    }
    const auto first = words[at++];
    if (first == "help")
      return help_for_rest();
    if (table.is_noun(first))
      return choose_verb(first);
    if (const auto* shortcut = table.find(first)) {
      found.what = *shortcut;
      return {};
    }
    auto known = std::vector<std::string>{"help"};
    for (const auto& noun : table.nouns())
      known.push_back(noun.name);
    for (const auto* x : table.shortcuts())
      known.push_back(x->path);
    for (const auto& [word, summary] : table.foreign())
      known.push_back(word);
    auto meant = translated(first, foreign_commands, [&](const std::string& x) { return table.find(x) != nullptr; });
    if (meant.empty())
      meant = did_you_mean(first, known);
    return usage_error{fmt::format("unknown command '{}'{}; see novacron --help", first, meant)};
  }

  /// `novacron --role=edge` and `novacron --name=edge-1` run a node: flags of its own instead of a command.
  bool starts_node() const {
    const auto* node = table.find("--role");
    const auto name = words[at].substr(0, words[at].find('='));
    return node && std::ranges::any_of(node->flags, [&](const flag& x) { return "--" + x.name == name; });
  }

  std::optional<parsed> choose_verb(const std::string& noun) {
    while (at < words.size() && words[at].starts_with('-')) {
      if (auto done = take_flag())
        return done;
      if (wants_help)
        return help_wanted{noun};
    }
    if (at == words.size()) {
      if (const auto* alone = table.find(noun)) {
        found.what = *alone;
        return {};
      }
      return help_wanted{noun};
    }
    const auto verb = words[at];
    if (const auto* both = table.find(noun + " " + verb)) {
      found.what = *both;
      ++at;
      return {};
    }
    if (const auto* alone = table.find(noun)) {
      found.what = *alone;
      return {};
    }
    auto known = std::vector<std::string>{};
    for (const auto* x : table.below(noun))
      known.push_back(x->path.substr(noun.size() + 1));
    auto meant =
        translated(verb, foreign_verbs, [&](const std::string& x) { return std::ranges::count(known, x) > 0; });
    if (meant.empty())
      meant = did_you_mean(verb, known);
    return usage_error{
        fmt::format("unknown verb '{}' for {}{}; it knows {}", verb, noun, meant, fmt::join(known, ", "))};
  }

  parsed help_for_rest() {
    auto topic = std::string{};
    for (; at < words.size() && !words[at].starts_with('-'); ++at)
      topic += (topic.empty() ? "" : " ") + words[at];
    if (topic.empty() || table.find(topic) || table.is_noun(topic))
      return help_wanted{topic};
    auto known = std::vector<std::string>{};
    for (const auto& x : table.all())
      known.push_back(x.path);
    return usage_error{fmt::format("no help for '{}'{}", topic, did_you_mean(topic, known))};
  }

  std::optional<parsed> take_word() {
    const auto& word = words[at];
    if (only_words || word == "-" || !word.starts_with('-') || negative_number(word)) {
      const auto index = found.arguments.size();
      found.arguments.push_back(word);
      ++at;
      const auto& wanted = found.what.arguments;
      // What follows belongs to the other command; a first "--" only says so.
      if (index + 1 < wanted.size() && wanted[index + 1].rest)
        take_rest();
      return {};
    }
    if (word == "--") {
      only_words = true;
      ++at;
      return {};
    }
    if (auto done = take_flag())
      return done;
    return wants_help ? std::optional<parsed>{help_wanted{found.what.path}} : std::nullopt;
  }

  void take_rest() {
    while (at < words.size() && words[at] != "--" && words[at].starts_with('-') && known_flag(words[at]))
      if (take_flag())
        return;
    if (at < words.size() && words[at] == "--")
      ++at;
    for (; at < words.size(); ++at)
      found.arguments.push_back(words[at]);
  }

  /// Flags between the instance and the command still belong to us, as in `exec web.0 -it sh`.
  bool known_flag(const std::string& word) const {
    if (word.starts_with("--"))
      return lookup(word.substr(2, word.find('=') == word.npos ? word.npos : word.find('=') - 2)) != nullptr;
    return std::ranges::all_of(word.substr(1), [this](char x) { return lookup(x) != nullptr; });
  }

  bool negative_number(const std::string& word) const {
    return found.arguments.size() < found.what.arguments.size() &&
           found.what.arguments[found.arguments.size()].is == kind::number && parse_number(word);
  }

  std::optional<parsed> take_flag() {
    const auto& word = words[at++];
    if (word == "-h" || word == "--help") {
      wants_help = true;
      return {};
    }
    return word.starts_with("--") ? take_long(word) : take_letters(word);
  }

  std::optional<parsed> take_long(const std::string& word) {
    const auto equals = word.find('=');
    const auto name = word.substr(2, equals == word.npos ? word.npos : equals - 2);
    const auto* known = lookup(name);
    if (!known) {
      if (found.what.open_flags)
        return take_open(name, equals == word.npos ? std::string{} : word.substr(equals + 1), equals != word.npos);
      return unknown("--" + name);
    }
    if (known->value.empty()) {
      const auto value = equals == word.npos ? "true" : word.substr(equals + 1);
      if (value != "true" && value != "false")
        return usage_error{fmt::format("--{} is a switch and takes no value, not '{}'", name, value)};
      if (value == "true")
        found.flags.emplace_back(name, "true");
      return {};
    }
    if (equals != word.npos)
      return accept(*known, word.substr(equals + 1));
    if (at == words.size())
      return usage_error{fmt::format("--{} needs a value: --{}={}", name, name, known->value)};
    return accept(*known, words[at++]);
  }

  std::optional<parsed> take_open(const std::string& name, std::string value, bool given) {
    if (!given && at < words.size() && !words[at].starts_with('-'))
      value = words[at++];
    else if (!given)
      value = "true";
    found.flags.emplace_back(name, std::move(value));
    return {};
  }

  std::optional<parsed> take_letters(const std::string& word) {
    for (auto i = std::size_t{1}; i < word.size(); ++i) {
      const auto* known = lookup(word[i]);
      if (!known)
        return unknown(fmt::format("-{}", word[i]));
      if (known->value.empty()) {
        found.flags.emplace_back(known->name, "true");
        continue;
      }
      if (i + 1 < word.size())
        return accept(*known, word.substr(word[i + 1] == '=' ? i + 2 : i + 1));
      if (at == words.size())
        return usage_error{fmt::format("-{} needs a value: -{} {}", word[i], word[i], known->value)};
      return accept(*known, words[at++]);
    }
    return {};
  }

  std::optional<parsed> accept(const flag& known, const std::string& value) {
    const auto wrong = [&](const std::string& wanted) {
      return usage_error{fmt::format("--{} is '{}', but must be {}", known.name, value, wanted)};
    };
    if (known.is == kind::number && !parse_number(value))
      return wrong("a whole number");
    if (known.is == kind::duration && !parse_duration(value))
      return wrong(duration_wanted);
    if (known.is == kind::choice && std::ranges::find(known.choices, value) == known.choices.end())
      return wrong(fmt::format("one of {}{}", fmt::join(known.choices, ", "), did_you_mean(value, known.choices)));
    found.flags.emplace_back(known.name, value);
    return {};
  }

  template <class Matches>
  const flag* lookup_if(Matches matches) const {
    for (const auto* flags : {&found.what.flags, &common_flags()})
      for (const auto& x : *flags)
        if (matches(x))
          return &x;
    return nullptr;
  }
  const flag* lookup(std::string_view name) const {
    return lookup_if([&](const flag& x) { return x.name == name; });
  }
  const flag* lookup(char letter) const {
    return lookup_if([&](const flag& x) { return x.letter == letter && letter != 0; });
  }

  usage_error unknown(const std::string& word) const {
    auto known = std::vector<std::string>{};
    for (const auto* flags : {&found.what.flags, &common_flags()})
      for (const auto& x : *flags)
        known.push_back("--" + x.name);
    const auto path = found.what.path.empty() ? std::string{} : " for " + found.what.path;
    return {fmt::format("unknown flag {}{}{}; see novacron{}{} --help", word, path,
                        word.starts_with("--") ? did_you_mean(word, known) : "", path.empty() ? "" : " ",
                        found.what.path)};
  }

  parsed check_arguments() {
    const auto& wanted = found.what.arguments;
    auto least = std::size_t{0};
    for (const auto& x : wanted)
      least += x.optional ? 0 : 1;
    if (found.arguments.size() < least) {
      const auto& missing = wanted[found.arguments.size()];
      return usage_error{
          fmt::format("{} needs {}; usage: novacron {}", found.what.path, missing.name, usage(found.what))};
    }
    const auto many = !wanted.empty() && (wanted.back().rest || wanted.back().many);
    if (!many && found.arguments.size() > wanted.size())
      return usage_error{fmt::format("'{}' is one word too many; usage: novacron {}", found.arguments[wanted.size()],
                                     usage(found.what))};
    for (auto i = std::size_t{0}; i < std::min(wanted.size(), found.arguments.size()); ++i)
      if (auto wrong = check(wanted[i], found.arguments[i]))
        return std::move(*wrong);
    return std::move(found);
  }

  std::optional<usage_error> check(const argument& wanted, const std::string& value) const {
    const auto wrong = [&](const std::string& what) {
      return usage_error{fmt::format("{} of {} is '{}', but must be {}", wanted.name, found.what.path, value, what)};
    };
    if (value.empty() && wanted.is != kind::json)
      return wrong("something");
    if (wanted.is == kind::number && !parse_number(value))
      return wrong("a whole number");
    if (wanted.is == kind::duration && !parse_duration(value))
      return wrong(duration_wanted);
    if (wanted.is == kind::choice && std::ranges::find(wanted.choices, value) == wanted.choices.end())
      return wrong(fmt::format("one of {}{}", fmt::join(wanted.choices, ", "), did_you_mean(value, wanted.choices)));
    return {};
  }

  const command_table& table;
  const std::vector<std::string>& words;
  std::size_t at = 0;
  bool only_words = false;
  bool wants_help = false;
  invocation found;
};

} // namespace

bool invocation::has(std::string_view flag) const {
  return std::ranges::any_of(flags, [&](const auto& x) { return x.first == flag; });
}

std::string invocation::get(std::string_view flag, std::string_view fallback) const {
  for (auto x = flags.rbegin(); x != flags.rend(); ++x)
    if (x->first == flag)
      return x->second;
  return std::string{fallback};
}

std::vector<std::string> invocation::all(std::string_view flag) const {
  auto values = std::vector<std::string>{};
  for (const auto& [name, value] : flags)
    if (name == flag)
      values.push_back(value);
  return values;
}

std::int64_t invocation::number(std::string_view flag, std::int64_t fallback) const {
  return has(flag) ? parse_number(get(flag)).value_or(fallback) : fallback;
}

std::uint64_t invocation::milliseconds(std::string_view flag, std::uint64_t fallback) const {
  return has(flag) ? parse_duration(get(flag)).value_or(fallback) : fallback;
}

std::string invocation::argument(std::size_t index) const {
  return index < arguments.size() ? arguments[index] : std::string{};
}

parsed parse(const command_table& table, const std::vector<std::string>& words) {
  return reading{table, words}.read();
}

std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known) {
  if (word.size() > word_max)
    return {};
  auto best = std::optional<std::string>{};
  auto best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const auto& x : known)
    if (const auto d = distance(word, x); d < best_distance && d < x.size()) {
      best = x;
      best_distance = d;
    }
  if (!best && word.size() >= 3)
    for (const auto& x : known)
      if (x.starts_with(word))
        return x;
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto found = nearest(word, known);
  return found ? fmt::format("; did you mean '{}'?", *found) : std::string{};
}

} // namespace novacron::shell
