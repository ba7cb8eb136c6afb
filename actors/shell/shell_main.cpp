#include "actors/shell/shell_main.hpp"

#include "actors/shell/program.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace novacron::shell {
namespace {

int terminal_columns() {
  auto size = winsize{};
  return ::ioctl(1, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/// bash takes "--node=ed" apart at the "="; here it becomes one word again.
std::vector<std::string> rejoined(const std::vector<std::string>& words) {
  auto out = std::vector<std::string>{};
  auto glue = false;
  for (const auto& word : words) {
    if (!out.empty() && (glue || (word == "=" && out.back().starts_with("--"))))
      out.back() += word;
    else
      out.push_back(word);
    glue = word == "=";
  }
  return out;
}

int print_candidates(program& within, std::vector<std::string> words) {
  words = rejoined(words);
  const auto fragment = words.empty() ? std::string{} : words.back();
  if (!words.empty())
    words.pop_back();
  const auto names = [&](kind is, const std::string& context) {
    // The shell completes files better than we do.
    return is == kind::file ? std::vector<std::string>{} : within.names(is, context);
  };
  for (const auto& x : complete(within.commands(), words, fragment, names))
    std::cout << harmless(x.text) << '\t' << harmless(x.help) << '\n';
  std::cout << std::flush;
  return 0;
}

} // namespace

int shell_main(int argc, char** argv, const process_commands& hooks) {
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
