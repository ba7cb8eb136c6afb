#include "actors/shell/help.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace novacron::shell {
namespace {

constexpr auto fabric_text =
    "The fabric is found by --connect, NOVACRON_CONNECT, ./nodes.toml, or the socket api.sock in the state directory\n"
    "(NOVACRON_STATE, /var/lib/novacron for root, ~/.local/state/novacron otherwise), in this order.";

constexpr auto exit_text =
    "0 ok, 1 failed, 2 wrong usage, 3 not found, 4 conflict or precondition, 5 timeout, 6 unreachable,\n"
    "7 denied, 130 interrupted.";

std::string two_columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  auto width = std::size_t{0};
  for (const auto& [left, right] : rows)
    width = std::max(width, left.size());
  auto text = std::string{};
  for (const auto& [left, right] : rows)
    text += right.empty() ? fmt::format("  {}\n", left) : fmt::format("  {:<{}}  {}\n", left, width, right);
  return text;
}

std::string flag_text(const flag& x) {
  const auto letter = x.letter ? fmt::format("-{}, ", x.letter) : std::string{"    "};
  return fmt::format("{}--{}{}{}", letter, x.name, x.value.empty() ? "" : "=", x.value);
}

std::string flag_help(const flag& x) {
  const auto listed = !x.choices.empty() && x.help.find(x.choices.front()) == x.help.npos;
  return listed ? fmt::format("{} ({})", x.help, fmt::join(x.choices, ", ")) : x.help;
}

std::string flags_section(const std::string& title, const std::vector<flag>& flags) {
  if (flags.empty())
    return {};
  auto rows = std::vector<std::pair<std::string, std::string>>{};
  for (const auto& x : flags)
    rows.emplace_back(flag_text(x), flag_help(x));
  return fmt::format("\n{}\n{}", title, two_columns(rows));
}

std::string examples_section(const std::vector<example>& examples) {
  if (examples.empty())
    return {};
  auto rows = std::vector<std::pair<std::string, std::string>>{};
  for (const auto& x : examples)
    rows.emplace_back("novacron " + x.line, x.meaning);
  return fmt::format("\nEXAMPLES\n{}", two_columns(rows));
}

std::string see_also_section(std::vector<std::string> paths) {
  for (auto& x : paths)
    x = "novacron " + x;
  return paths.empty() ? std::string{} : fmt::format("\nSEE ALSO\n  {}\n", fmt::join(paths, ", "));
}

std::string choices_section(const command& x) {
  auto text = std::string{};
  for (const auto& a : x.arguments)
    if (!a.choices.empty())
      text += fmt::format("\n{} is one of {}.\n", a.name, fmt::join(a.choices, ", "));
  return text;
}

std::string command_help(const command& x) {
  return fmt::format("novacron {} - {}\n", x.path, x.summary) + examples_section(x.examples) +
         fmt::format("\nUSAGE\n  novacron {}\n", usage(x)) + choices_section(x) +
         (x.more.empty() ? "" : "\n" + x.more + "\n") + flags_section("FLAGS", x.flags) +
         flags_section("COMMON FLAGS", common_flags()) + see_also_section(x.see_also);
}

std::string noun_help(const command_table& table, std::string_view noun) {
  auto rows = std::vector<std::pair<std::string, std::string>>{};
  auto examples = std::vector<example>{};
  for (const auto* x : table.below(noun)) {
    rows.emplace_back("novacron " + usage(*x), x->summary);
    if (!x->examples.empty() && examples.size() < 4)
      examples.push_back(x->examples.front());
  }
  const auto nouns = table.nouns();
  const auto found = std::ranges::find(nouns, noun, &command_table::noun::name);
  const auto summary = found == nouns.end() ? std::string{} : " - " + found->summary;
  return fmt::format("novacron {}{}\n{}\nCOMMANDS\n{}\nSEE ALSO\n  novacron {} VERB --help\n", noun, summary,
                     examples_section(examples), two_columns(rows), noun);
}

std::vector<std::pair<std::string, std::string>> shortcut_rows(const command_table& table, bool of_fabric) {
  auto rows = std::vector<std::pair<std::string, std::string>>{};
  for (const auto* x : table.shortcuts())
    if ((x->by == performer::fabric) == of_fabric)
      rows.emplace_back(x->path == "--role" ? "--role=ROLE" : x->path, x->summary);
  return rows;
}

std::string whole_help(const command_table& table) {
  auto text = std::string{"novacron - many unlike hosts as one compute fabric\n\nEXAMPLES\n"};
  auto rows = std::vector<std::pair<std::string, std::string>>{};
  if (table.find("dev"))
    rows.emplace_back("novacron dev", "a whole fabric on this machine");
  rows.insert(rows.end(), {{"novacron run web.toml", "submit a workload"},
                           {"novacron ps", "what runs where"},
                           {"novacron logs -f web.0", "what it writes"},
                           {"novacron shell", "all this with history and Tab"}});
  text += two_columns(rows) + "\nCOMMANDS\n" + two_columns(shortcut_rows(table, true)) + "\nTHIS PROGRAM\n" +
          two_columns(shortcut_rows(table, false)) + "\nNOUNS (novacron NOUN VERB)\n";
  rows.clear();
  for (const auto& noun : table.nouns()) {
    auto verbs = std::vector<std::string>{};
    for (const auto* x : table.below(noun.name))
      verbs.push_back(x->path.substr(noun.name.size() + 1));
    rows.emplace_back(noun.name, fmt::format("{}: {}", noun.summary, fmt::join(verbs, ", ")));
  }
  return text + two_columns(rows) + flags_section("COMMON FLAGS", common_flags()) + "\nFABRIC\n" + fabric_text +
         "\n\nSEE ALSO\n  novacron COMMAND --help, novacron man\n";
}

/// A line of text must not begin with what roff takes for a request, nor contain what it takes for an escape.
std::string roff(std::string_view text) {
  auto out = std::string{};
  auto line_start = true;
  for (const auto c : text) {
    if (line_start && (c == '.' || c == '\''))
      out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_start = c == '\n';
  }
  return out;
}

std::string man_flags(const std::vector<flag>& flags) {
  auto text = std::string{};
  for (const auto& x : flags)
    text += fmt::format(".TP\n.B {}\n{}\n", roff(x.letter ? flag_text(x) : flag_text(x).substr(4)), roff(flag_help(x)));
  return text;
}

std::string man_command(const command& x) {
  auto text = fmt::format(".SS novacron {}\n{}.\n", roff(usage(x)), roff(x.summary));
  if (!x.more.empty())
    text += ".PP\n" + roff(x.more) + "\n";
  text += man_flags(x.flags);
  for (const auto& e : x.examples)
    text += fmt::format(".PP\n.RS\n.B novacron {}\n.br\n{}\n.RE\n", roff(e.line),
                        e.meaning.empty() ? "\\&" : roff(e.meaning));
  return text;
}

} // namespace

std::string help_text(const command_table& table, std::string_view topic) {
  if (topic.empty())
    return whole_help(table);
  if (const auto* found = table.find(topic))
    return command_help(*found);
  return noun_help(table, topic);
}

std::string man_page(const command_table& table, std::string_view version) {
  auto text =
      fmt::format(".TH NOVACRON 1 \"\" \"novacron {}\" \"NovaCron\"\n.SH NAME\nnovacron \\- many unlike hosts as one "
                  "compute fabric\n.SH SYNOPSIS\n.B novacron\n.I COMMAND\n[\\fIFLAGS\\fR]\n.SH COMMANDS\n",
                  roff(version));
  for (const auto& x : table.all())
    text += man_command(x);
  text += ".SH COMMON FLAGS\n" + man_flags(common_flags()) + ".SH FABRIC\n" + roff(fabric_text) +
          "\n.SH EXIT STATUS\n" + roff(exit_text) +
          "\n.SH ENVIRONMENT\n.TP\n.B NOVACRON_CONNECT\nThe fabric to talk to.\n.TP\n.B NOVACRON_STATE\n"
          "The state directory.\n.TP\n.B NO_COLOR\nNo colours when set.\n";
  return text;
}

std::string markdown_page(const command_table& table) {
  auto text = std::string{"# Commands\n\nMade by `novacron man --markdown` from the table of commands.\n\n"
                          "| command | what it does |\n|---|---|\n"};
  const auto cell = [](std::string x) {
    for (auto at = x.find('|'); at != x.npos; at = x.find('|', at + 2))
      x.insert(at, "\\");
    return x;
  };
  for (const auto& x : table.all())
    text += fmt::format("| `novacron {}` | {} |\n", cell(usage(x)), cell(x.summary));
  return text +
         fmt::format(
             "\nEach also takes `-o table|wide|json|yaml|name`, `--no-headers`, `-q`, `--connect`, `--trust-dir` "
             "and `--timeout`.\n\n{}\n\nExit codes: {}\n",
             fabric_text, exit_text);
}

} // namespace novacron::shell
