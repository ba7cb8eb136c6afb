#include "actors/shell/catalogue.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace novacron::shell {
namespace {

constexpr auto noun_words = std::array{
    std::pair{"node", "hosts that have joined"},
    std::pair{"workload", "what people asked for"},
    std::pair{"instance", "the copies of a workload, each on one node"},
    std::pair{"policy", "what counts when a place is chosen"},
    std::pair{"quota", "what each tenant may have"},
    std::pair{"reservation", "room that is kept for some workloads"},
    std::pair{"image", "what containers are made from"},
    std::pair{"template", "what machines begin from"},
    std::pair{"actor", "the actors inside the nodes"},
    std::pair{"ledger", "the replicated truth"},
    std::pair{"operation", "what takes longer than a request"},
    std::pair{"token", "invitations to join"},
    std::pair{"certificate", "proofs of who is who"},
    std::pair{"audit", "the record of orders and refusals"},
    std::pair{"explain", "reasons for decisions"},
    std::pair{"config", "settings of this program"},
    std::pair{"debug", "help for those who help"},
};

} // namespace

command_table::command_table(const std::set<std::string>& processes, std::map<std::string, std::string> foreign)
    : others{std::move(foreign)} {
  for (const auto& group : {everyday_commands(), noun_commands(), own_commands()})
    for (const auto& x : group)
      if (x.by != performer::process || processes.contains(x.path))
        commands.push_back(x);
  // Whoever points to a command that is not there is not helped.
  for (auto& x : commands)
    std::erase_if(x.see_also, [this](const auto& path) { return !find(path); });
}

const command* command_table::find(std::string_view path) const {
  const auto at = std::ranges::find(commands, path, &command::path);
  return at == commands.end() ? nullptr : &*at;
}

std::vector<command_table::noun> command_table::nouns() const {
  auto found = std::vector<noun>{};
  for (const auto& [name, summary] : noun_words)
    if (is_noun(name))
      found.push_back({name, summary});
  return found;
}

bool command_table::is_noun(std::string_view word) const {
  return !below(word).empty();
}

std::vector<const command*> command_table::below(std::string_view noun) const {
  auto found = std::vector<const command*>{};
  for (const auto& x : commands)
    if (x.path.size() > noun.size() && x.path.starts_with(noun) && x.path[noun.size()] == ' ')
      found.push_back(&x);
  return found;
}

std::vector<const command*> command_table::shortcuts() const {
  auto found = std::vector<const command*>{};
  for (const auto& x : commands)
    if (x.path.find(' ') == x.path.npos)
      found.push_back(&x);
  return found;
}

const std::vector<flag>& common_flags() {
  static const auto flags = std::vector<flag>{
      {"output",
       'o',
       "FORMAT",
       "table, wide, json, yaml or name",
       kind::choice,
       {"table", "wide", "json", "yaml", "name"}},
      {"no-headers", 0, "", "tables without their first line"},
      {"quiet", 'q', "", "names only"},
      {"connect", 0, "ADDRESS", "HOST:PORT or the path of a socket (default: see FABRIC)"},
      {"trust-dir", 0, "DIR", "where ca.pem, cert.pem and key.pem for HOST:PORT are", kind::file},
      {"timeout", 0, "TIME", "how long an answer may take (default 10s)", kind::duration},
      {"help", 'h', "", "help for this command"},
  };
  return flags;
}

std::string usage(const command& x) {
  auto text = x.path == "--role" ? std::string{"--role=ROLE"} : x.path;
  auto switches = std::string{};
  auto others = std::string{};
  for (const auto& f : x.flags) {
    if (f.letter && f.value.empty())
      switches += f.letter;
    else if (f.name != "role")
      others += f.value.empty() ? " [--" + f.name + "]" : " [--" + f.name + "=" + f.value + "]";
  }
  if (!switches.empty())
    text += " [-" + switches + "]";
  // A line of thirty flags is no summary of anything.
  constexpr auto flags_shown_max = 8;
  text += std::ranges::count(others, '[') > flags_shown_max ? std::string{" [FLAGS]"} : others;
  for (const auto& a : x.arguments)
    text +=
        " " + std::string{a.optional ? "[" : ""} + a.name + (a.rest || a.many ? "..." : "") + (a.optional ? "]" : "");
  return text;
}

} // namespace novacron::shell
