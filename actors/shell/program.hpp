#pragma once

/// One command line from words to exit code, in the program and in its shell alike.

#include "actors/shell/completion.hpp"
#include "actors/shell/session.hpp"
#include "actors/shell/shell_main.hpp"

#include <iosfwd>
#include <map>
#include <memory>
#include <utility>

namespace novacron::shell {

/// Where a program writes, and what is known about it.
struct surface {
  std::ostream& out;
  std::ostream& err;
  bool terminal = false;
  bool color = false;
  /// Asked before each command, since terminals change their size; 0 without terminal. May be null.
  std::function<int()> columns;
};

class program {
public:
  program(const process_commands& hooks, surface where);

  /// Runs one command and returns its exit code; what goes wrong is said on `err`.
  int run(const std::vector<std::string>& words);

  /// From now on commands are those of a shell that was started with the common flags of `started`.
  void enter_shell(const invocation& started);
  /// From now on flags that a command lacks are taken from `defaults`.
  void assume(invocation defaults) { shell = std::move(defaults); }
  void set_format(format as) { mode = as; }
  void set_timing(bool on) { timing = on; }

  /// What the composer of the program makes of the words; nothing when they are not for it.
  std::optional<int> run_first(const std::vector<std::string>& words) const;

  const command_table& commands() const { return table; }
  /// Names that exist, for completion; asked for at most every few seconds, and none if that takes long.
  std::vector<std::string> names(kind is, const std::string& context);
  /// The node that answers and the name of its fabric, empty when there is none.
  std::pair<std::string, std::string> whereabouts();

  int complain(const std::string& text, exit_code code);
  surface& shown() { return where; }

private:
  int run_words(const std::vector<std::string>& words);
  int run_parsed(const invocation& what);
  int run_self(const invocation& what);
  int version(const invocation& what);
  std::vector<std::string> names_from(client& from, kind is, const std::string& context);
  std::string suggestion(const invocation& what, const std::string& said);
  session make_session(const invocation& what);
  client& fabric(const invocation& what);
  client make_client(const invocation& what, std::chrono::milliseconds timeout) const;
  std::string option(const invocation& what, const char* name) const;

  const process_commands hooks;
  surface where;
  command_table table;
  std::unique_ptr<client> open;
  std::string open_for;
  bool inside = false;
  invocation shell;
  format mode = format::table;
  bool timing = false;
  struct remembered {
    std::chrono::steady_clock::time_point when;
    std::vector<std::string> names;
  };
  std::map<std::string, remembered> memory;
};

/// The interactive shell, or a script; `started` is the invocation of `shell`.
int run_shell(program& within, const invocation& started);

/// Runs the commands of a text one after the other; ends at the first failure unless `keep_going`.
int run_script(program& within, std::istream& text, bool keep_going);

} // namespace novacron::shell
