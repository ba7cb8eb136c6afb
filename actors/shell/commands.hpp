#pragma once

/// The one table of commands, from which parsing, help, completion and man pages come.

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::shell {

/// What a word of a command line stands for, so that it can be checked and completed.
enum class kind {
  text,
  number,
  duration,
  choice,
  file,
  node,
  workload,
  instance,
  image,
  migration,
  actor,
  message,
  json,
  command,
};

/// `--name`, or `-letter`; a switch when it takes no value.
struct flag {
  std::string name;
  char letter = 0;
  /// What its value is called in the help; empty for a switch.
  std::string value;
  std::string help;
  kind is = kind::text;
  std::vector<std::string> choices;
};

struct argument {
  std::string name;
  kind is = kind::text;
  bool optional = false;
  /// Takes all words that follow, flags among them.
  bool rest = false;
  /// May be repeated.
  bool many = false;
  std::vector<std::string> choices;
};

struct example {
  std::string line;
  std::string meaning;
};

/// Who carries a command out.
enum class performer {
  /// The fabric, asked over HTTP.
  fabric,
  /// This program, through a hook of the composer.
  process,
  /// The shell itself, without a fabric.
  self,
};

struct command {
  /// "node list" or "logs".
  std::string path;
  std::string summary;
  performer by = performer::fabric;
  std::vector<argument> arguments;
  std::vector<flag> flags;
  std::vector<example> examples;
  std::string more;
  std::vector<std::string> see_also;
  /// Takes flags that the table does not know (benches have their own).
  bool open_flags = false;
};

/// All commands that work here, in the order in which help shows them.
class command_table {
public:
  /// `processes` are the paths of the commands by the process that are there; the others are left out. `foreign` are
  /// words that somebody else takes, each with what it does.
  explicit command_table(const std::set<std::string>& processes = {}, std::map<std::string, std::string> foreign = {});

  const std::vector<command>& all() const { return commands; }
  const command* find(std::string_view path) const;
  /// First words that have verbs below them, with what they are.
  struct noun {
    std::string name;
    std::string summary;
  };
  std::vector<noun> nouns() const;
  bool is_noun(std::string_view word) const;
  std::vector<const command*> below(std::string_view noun) const;
  /// Commands of one word.
  std::vector<const command*> shortcuts() const;
  const std::map<std::string, std::string>& foreign() const { return others; }

private:
  std::vector<command> commands;
  std::map<std::string, std::string> others;
};

/// The flags that every command takes.
const std::vector<flag>& common_flags();

/// "logs [-f] INSTANCE": how a command is written.
std::string usage(const command& x);

} // namespace novacron::shell
