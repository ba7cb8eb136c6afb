#include "spec/house/checker.hpp"

#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string_view>

namespace novacron::spec {
namespace {

/// Long enough for the largest actor, short enough to be read in one sitting. Comments and empty lines are free.
constexpr auto line_count_max = std::size_t{600};

using faults = std::vector<std::string>;

struct source {
  std::string path;
  std::vector<std::string> lines;
};

std::vector<std::string> lines_of(const std::string& text) {
  auto in = std::istringstream{text};
  auto lines = std::vector<std::string>{};
  for (auto line = std::string{}; std::getline(in, line);)
    lines.push_back(line);
  return lines;
}

std::string at(const source& x, std::size_t index) { return x.path + ":" + std::to_string(index + 1) + ": "; }

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == path.npos ? "" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_header(const std::string& path) { return path.ends_with(".hpp"); }
bool is_code(const std::string& path) { return is_header(path) || path.ends_with(".cpp"); }
bool is_proto(const std::string& path) { return path.ends_with(".proto"); }
bool is_build(const std::string& path) { return name_of(path) == "meson.build"; }

/// "actors/state" for actors/state/x.cpp, "messages" for messages/wire/x.proto, "spec", "" at the root.
std::string room_of(const std::string& path) {
  const auto first = path.substr(0, path.find('/'));
  if (first == path)
    return "";
  if (first != "actors")
    return first;
  const auto second = path.find('/', 7);
  return second == path.npos ? first : path.substr(0, second);
}

bool composes(const std::string& room) { return room == "actors/node" || room == "actors/simulation"; }

bool may_include(const std::string& room, const std::string& other) {
  if (room == other || room == "spec")
    return true;
  if (other == "spec" || room == "messages" || room == "kernels")
    return false;
  return composes(room) || other == "messages" || other == "kernels" || other == "actors/host";
}

bool may_include_caf(const std::string& path, const std::string& room) {
  if (room == "spec" || room == "messages" || room == "actors/host" || composes(room))
    return true;
  // A bench spawns the actors that it measures.
  return path.ends_with("_actor.hpp") || path.ends_with("_actor.cpp") || name_of(path).starts_with("bench");
}

void check_includes(const source& x, const std::set<std::string>& paths, faults& found) {
  static const auto include = std::regex{R"(^\s*#\s*include\s+([<"])([^>"]+)[>"])"};
  const auto room = room_of(x.path);
  for (auto i = std::size_t{0}; i < x.lines.size(); ++i) {
    auto match = std::smatch{};
    if (!std::regex_search(x.lines[i], match, include))
      continue;
    const auto target = match[2].str();
    if (match[1] == "<") {
      if (target.starts_with("caf/") && !may_include_caf(x.path, room))
        found.push_back(at(x, i) + "only *_actor files, host, node and simulation include CAF: <" + target + ">");
      continue;
    }
    const auto generated = target.starts_with("messages/wire/") && target.ends_with(".pb.h");
    if (!generated && !paths.contains(target))
      found.push_back(at(x, i) + "\"" + target + "\" is no file of the house; include it by its path from the root");
    else if (!may_include(room, room_of(target)))
      found.push_back(at(x, i) + room + " may not include " + room_of(target) + "; talk to it through messages/");
  }
}

bool is_code_line(const std::string& line) {
  const auto first = line.find_first_not_of(" \t");
  return first != line.npos && line.compare(first, 2, "//") != 0;
}

void check_length(const source& x, faults& found) {
  const auto count = static_cast<std::size_t>(std::ranges::count_if(x.lines, is_code_line));
  if (count > line_count_max)
    found.push_back(x.path + ": " + std::to_string(count) + " lines of code; more than "
                    + std::to_string(line_count_max) + " want a second file");
}

/// Assembled, so that this file passes its own rule.
const std::regex& marks() {
  static const auto pattern = std::regex{std::string{R"(\b(TO)"} + "DO|FIX" + "ME|XX" + R"(X|HA)" + R"(CK)\b)"};
  return pattern;
}

const std::regex& machine_paths() {
  static const auto pattern = std::regex{std::string{R"((/ho)"} + R"(me/[a-z]|/Us)" + R"(ers/|/wo)" + R"(rk/(main|wt|shared)\b))"};
  return pattern;
}

void check_words(const source& x, faults& found) {
  for (auto i = std::size_t{0}; i < x.lines.size(); ++i) {
    auto match = std::smatch{};
    if (std::regex_search(x.lines[i], match, marks()))
      found.push_back(at(x, i) + match.str() + ": finish it, or leave it out");
    if (std::regex_search(x.lines[i], match, machine_paths()))
      found.push_back(at(x, i) + match.str() + ": a path of somebody's machine");
  }
}

void check_header(const source& x, faults& found) {
  // Precompiled headers are lists for the compiler, not something that others include.
  if (!is_header(x.path) || x.path.starts_with("messages/precompiled/"))
    return;
  // A list that is included several times has no guard.
  const auto begins = [&](std::string_view text) {
    return std::ranges::any_of(x.lines.begin(), x.lines.begin() + std::min<std::ptrdiff_t>(4, std::ssize(x.lines)),
                               [&](const std::string& line) { return line.starts_with(text); });
  };
  if (!begins("#pragma once") && x.path != "messages/list.hpp")
    found.push_back(x.path + ":1: a header begins with #pragma once");
  if (!begins("///"))
    found.push_back(x.path + ":1: a header begins with one sentence, ///, that says what it is for");
}

/// What the meson.build files list: for each folder, the quoted words.
std::map<std::string, std::set<std::string>> listed_words(const std::vector<source>& sources) {
  static const auto quoted = std::regex{R"('([^']+)')"};
  auto words = std::map<std::string, std::set<std::string>>{};
  for (const auto& x : sources)
    if (is_build(x.path))
      for (const auto& line : x.lines)
        for (auto i = std::sregex_iterator{line.begin(), line.end(), quoted}; i != std::sregex_iterator{}; ++i)
          words[folder_of(x.path)].insert((*i)[1].str());
  return words;
}

/// The word by which a meson.build lists the file: protocols and fuzz targets by their stem, others by name.
std::string word_of(const std::string& name) {
  if (is_proto(name))
    return name.substr(0, name.size() - 6);
  if (name.starts_with("fuzz_") && name.ends_with(".cpp"))
    return name.substr(5, name.size() - 9);
  return name;
}

/// Whether the meson.build of the file's folder, or of one above, lists it by its path from there.
bool listed(const std::string& path, const std::map<std::string, std::set<std::string>>& words) {
  auto rest = word_of(name_of(path));
  for (auto folder = folder_of(path);; folder = folder_of(folder)) {
    const auto found = words.find(folder);
    if (found != words.end() && found->second.contains(rest))
      return true;
    if (folder.empty())
      return false;
    rest = name_of(folder) + "/" + rest;
  }
}

void check_listed(const source& x, const std::map<std::string, std::set<std::string>>& words, faults& found) {
  if ((x.path.ends_with(".cpp") || is_proto(x.path)) && !listed(x.path, words))
    found.push_back(x.path + ": no meson.build lists it, so nobody builds it");
}

/// A run of lines that hold one quoted name each is a list of files, and sorted.
void check_sorted(const source& x, faults& found) {
  static const auto entry = std::regex{R"(^\s*'([A-Za-z0-9_./-]+)',$)"};
  auto before = std::string{};
  for (auto i = std::size_t{0}; i < x.lines.size(); ++i) {
    auto match = std::smatch{};
    const auto is_entry = std::regex_match(x.lines[i], match, entry) && match[1].str().front() != '-';
    const auto name = is_entry ? match[1].str() : std::string{};
    if (is_entry && !before.empty() && name <= before)
      found.push_back(at(x, i) + name + " stands after " + before + "; lists are sorted, and hold a name once");
    before = name;
  }
}

} // namespace

std::vector<std::string> house_faults(const std::vector<house_file>& files) {
  auto sources = std::vector<source>{};
  auto paths = std::set<std::string>{};
  for (const auto& x : files) {
    sources.push_back({x.path, lines_of(x.text)});
    paths.insert(x.path);
  }
  const auto words = listed_words(sources);
  auto found = faults{};
  for (const auto& x : sources) {
    check_words(x, found);
    if (is_build(x.path))
      check_sorted(x, found);
    if (is_code(x.path) || is_proto(x.path) || is_build(x.path)) {
      check_length(x, found);
      check_header(x, found);
      check_listed(x, words, found);
    }
    if (is_code(x.path))
      check_includes(x, paths, found);
  }
  return found;
}

} // namespace novacron::spec
