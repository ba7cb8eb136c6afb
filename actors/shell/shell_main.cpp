#include "actors/shell/shell_main.hpp"

#include "actors/shell/program.hpp"
#include "actors/shell/words.hpp"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

namespace novacron::shell {
namespace {

int terminal_columns() {
  auto size = winsize{};
  return ::ioctl(1, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/// Descriptors 0 to 2 must be something, or what is opened next would be taken for our output.
void fill_standard_descriptors() {
  for (auto fd = ::open("/dev/null", O_RDWR); fd >= 0; fd = ::open("/dev/null", O_RDWR))
    if (fd > STDERR_FILENO) {
      ::close(fd);
      return;
    }
}

/// The words of `novacron __complete WORD...`, or of the text of a command line after `--line`: the last one is being
/// written.
std::vector<std::string> words_to_complete(std::vector<std::string> given) {
  if (given.size() != 2 || given.front() != "--line")
    return given;
  auto line = split_unfinished(given.back());
  line.words.push_back(line.fragment);
  // The first word is the program.
  line.words.erase(line.words.begin());
  return line.words;
}

/// The fabric that a command line names, so that its names are offered.
void follow_target(program& within, const std::vector<std::string>& words) {
  auto named = invocation{};
  for (auto i = std::size_t{0}; i < words.size(); ++i)
    for (const auto* flag : {"connect", "trust-dir"}) {
      const auto whole = std::string{"--"} + flag;
      if (words[i] == whole && i + 1 < words.size())
        named.flags.emplace_back(flag, words[i + 1]);
      else if (words[i].starts_with(whole + "="))
        named.flags.emplace_back(flag, words[i].substr(whole.size() + 1));
    }
  within.assume(std::move(named));
}

int print_candidates(program& within, std::vector<std::string> words) {
  words = words_to_complete(std::move(words));
  follow_target(within, words);
  const auto fragment = words.empty() ? std::string{} : words.back();
  if (!words.empty())
    words.pop_back();
  const auto names = [&](kind is, const std::string& context) {
    // The shell completes files better than we do.
    return is == kind::file ? std::vector<std::string>{} : within.names(is, context);
  };
  for (const auto& x : complete(within.commands(), words, fragment, names))
    // A shell would read quotes and blanks, as in JSON, as its own.
    if (x.text.find_first_of(" \"'\\{[") == x.text.npos)
      std::cout << harmless(x.text) << '\t' << harmless(x.help) << '\n';
  std::cout << std::flush;
  return 0;
}

} // namespace

int shell_main(int argc, char** argv, const process_commands& hooks) {
  fill_standard_descriptors();
  const auto words = std::vector<std::string>(argv + std::min(argc, 1), argv + argc);
  const auto terminal = ::isatty(1) == 1;
  const auto* no_color = std::getenv("NO_COLOR");
  const auto* kind_of_terminal = std::getenv("TERM");
  const auto plain = (no_color && *no_color) || !kind_of_terminal || std::string_view{kind_of_terminal} == "dumb";
  auto within = program{hooks,
                        {.out = std::cout,
                         .err = std::cerr,
                         .terminal = terminal,
                         .color = terminal && !plain,
                         .columns = terminal ? terminal_columns : nullptr}};
  if (!words.empty() && words.front() == "__complete")
    return print_candidates(within, {words.begin() + 1, words.end()});
  return within.run(words);
}

} // namespace novacron::shell
