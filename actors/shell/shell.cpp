#include "actors/shell/editor.hpp"
#include "actors/shell/interrupt.hpp"
#include "actors/shell/program.hpp"
#include "actors/shell/words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>
#include <tuple>
#include <unistd.h>

namespace novacron::shell {
namespace {

constexpr auto dot_help = ".mode table|wide|json|yaml|name   how answers look from now on\n"
                          ".timing on|off                   how long each command took\n"
                          ".help                            this; `help` shows the commands\n"
                          ".quit                            leave, as Ctrl-D does\n";

/// Set when the person wants to leave.
struct leaving {};

int dot_command(program& within, const std::vector<std::string>& words) {
  const auto& verb = words.front();
  const auto value = words.size() > 1 ? words[1] : std::string{};
  if (verb == ".quit" || verb == ".exit")
    throw leaving{};
  if (verb == ".help") {
    within.shown().out << dot_help << std::flush;
    return 0;
  }
  if (verb == ".timing" && (value == "on" || value == "off")) {
    within.set_timing(value == "on");
    return 0;
  }
  const auto formats = common_flags().front().choices;
  if (verb == ".mode" && std::ranges::find(formats, value) != formats.end()) {
    within.set_format(parse_format(value));
    return 0;
  }
  if (verb == ".timing" || verb == ".mode")
    return within.complain(
        fmt::format("{} takes {}", verb, verb == ".timing" ? "on or off" : "table, wide, json, yaml or name"),
        exit_code::usage);
  return within.complain(
      fmt::format("unknown command '{}'{}", verb, did_you_mean(verb, {".mode", ".timing", ".help", ".quit"})),
      exit_code::usage);
}

int run_one(program& within, std::vector<std::string> words) {
  interrupt::clear();
  if (words.front().starts_with('.'))
    return dot_command(within, words);
  if (words.size() == 1 && (words.front() == "exit" || words.front() == "quit"))
    throw leaving{};
  if (words.front() == "novacron")
    words.erase(words.begin());
  if (const auto done = within.run_first(words))
    return *done;
  return within.run(words);
}

editor::offer offer(program& within, const std::string& line) {
  const auto now = split_unfinished(line);
  auto words = now.words;
  if (!words.empty() && words.front() == "novacron")
    words.erase(words.begin());
  const auto names = [&](kind is, const std::string& context) { return within.names(is, context); };
  return {now.start, complete(within.commands(), words, now.fragment, names)};
}

std::filesystem::path history_file() {
  const auto* given = std::getenv("NOVACRON_HISTORY");
  if (given)
    return given;
  const auto* home = std::getenv("HOME");
  return home ? std::filesystem::path{home} / ".novacron_history" : std::filesystem::path{};
}

int interactive(program& within) {
  auto node = std::string{};
  auto fabric = std::string{};
  std::tie(node, fabric) = within.whereabouts();
  auto& err = within.shown().err;
  if (node.empty())
    err << "no fabric answers yet; start one with `novacron dev`\n";
  else
    err << fmt::format("attached to {}{}; ", node, fabric.empty() ? "" : " of " + fabric);
  err << "Tab completes, Ctrl-R searches, help helps, Ctrl-D leaves" << std::endl;
  const auto prompt = [&] {
    if (node.empty())
      std::tie(node, fabric) = within.whereabouts();
    return node.empty() ? std::string{"novacron> "} : fmt::format("{}{}> ", fabric.empty() ? "" : fabric + "/", node);
  };
  auto input = editor{history_file(), prompt, [&](const std::string& line) { return offer(within, line); }};
  auto line = std::string{};
  while (true) {
    interrupt::clear();
    const auto event = input.read(line);
    if (event == editor::event::ended)
      return 0;
    if (event == editor::event::interrupted)
      continue;
    const auto parsed = split(line);
    if (!parsed.error.empty()) {
      within.complain(parsed.error, exit_code::usage);
      continue;
    }
    for (const auto& words : parsed.commands) {
      run_one(within, words);
      if (interrupt::pending())
        break;
    }
  }
}

} // namespace

int run_script(program& within, std::istream& text, bool keep_going) {
  auto first_failure = 0;
  auto pending = std::string{};
  auto line = std::string{};
  while (std::getline(text, line)) {
    pending += (pending.empty() ? "" : "\n") + line;
    const auto parsed = split(pending);
    // An open quote may be closed in a later line.
    if (!parsed.error.empty() && text.peek() != std::istream::traits_type::eof())
      continue;
    pending.clear();
    if (!parsed.error.empty())
      return within.complain(parsed.error, exit_code::usage);
    for (const auto& words : parsed.commands) {
      const auto code = run_one(within, words);
      first_failure = first_failure ? first_failure : code;
      if (code != 0 && !keep_going)
        return code;
    }
  }
  return first_failure;
}

int run_shell(program& within, const invocation& started) {
  within.enter_shell(started);
  interrupt::install();
  const auto keep_going = started.has("keep-going");
  try {
    if (started.has("commands")) {
      auto text = std::istringstream{started.get("commands")};
      return run_script(within, text, keep_going);
    }
    if (const auto file = started.argument(0); !file.empty() && file != "-") {
      auto text = std::ifstream{file};
      if (!text)
        throw failure{exit_code::not_found, fmt::format("cannot read {}", file)};
      return run_script(within, text, keep_going);
    }
    return ::isatty(0) && ::isatty(1) ? interactive(within) : run_script(within, std::cin, keep_going);
  } catch (const leaving&) {
    return 0;
  }
}

} // namespace novacron::shell
