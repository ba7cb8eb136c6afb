#include "actors/simulation/shell_of_world.hpp"

#include "actors/host/version.hpp"
#include "actors/shell/program.hpp"
#include "actors/simulation/reception.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

namespace novacron::simulation {
namespace {

int terminal_columns() {
  auto size = winsize{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/// What the shell itself calls the same, it does by itself; what makes a world, or needs a block, comes too late.
bool is_world_verb(const std::string& word) {
  static const auto others = std::set<std::string_view>{"delete", "drain", "image", "include", "let",  "replay",
                                                        "run",    "seed",  "stop",  "undrain", "world"};
  return std::ranges::find(world_verbs(), word, &verb_help::name) != world_verbs().end() && !others.contains(word);
}

std::string clock_text(moment x) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(x).count();
  return fmt::format("{:02}:{:02}:{:02}.{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

class sitting {
public:
  sitting(player& of, const scenario& what) : of_{of}, what_{what}, front_{of, std::string{host::version()}} {}

  int run() {
    auto hooks = shell::process_commands{};
    hooks.version = std::string{host::version()};
    for (const auto& x : world_verbs())
      if (is_world_verb(std::string{x.name}))
        hooks.first_words.emplace(x.name, x.summary);
    hooks.wall_ms = [this] { return front_.wall_ms(); };
    hooks.first = [this](const std::vector<std::string>& words) { return take(words); };
    const auto terminal = ::isatty(STDOUT_FILENO) == 1;
    const auto* no_color = std::getenv("NO_COLOR");
    auto within = shell::program{hooks,
                                 {.out = std::cout,
                                  .err = std::cerr,
                                  .terminal = terminal,
                                  .color = terminal && !(no_color && *no_color),
                                  .columns = terminal ? terminal_columns : nullptr}};
    auto started = shell::invocation{};
    started.flags.emplace_back("connect", front_.socket());
    return shell::run_shell(within, started);
  }

private:
  std::optional<int> take(const std::vector<std::string>& words) {
    if (words.front() == "help" && (words.size() == 1 || is_world_verb(words[1]))) {
      for (const auto& x : world_verbs())
        if (words.size() == 1 ? is_world_verb(std::string{x.name}) : x.name == words[1])
          std::cout << fmt::format("  {:<52} {}\n", x.usage, x.summary);
      std::cout << std::endl;
      return words.size() == 1 ? std::nullopt : std::optional{0};
    }
    if (!is_world_verb(words.front()))
      return {};
    auto line = std::string{};
    for (const auto& word : words)
      line += (line.empty() ? "" : " ") + word;
    const auto read = read_more(what_, line);
    for (const auto& wrong : read.errors)
      std::cerr << "novacron: " << wrong << "\n";
    return read.errors.empty() ? play(read.what.steps) : 2;
  }

  int play(const std::vector<step>& steps) {
    const auto lock = std::lock_guard{front_.turn()};
    const auto& broken = of_.here().watch().violations();
    const auto before = broken.size();
    of_.play_more(steps);
    for (auto i = before; i < broken.size(); ++i)
      std::cerr << fmt::format("VIOLATED at {} ({}): {}\n", clock_text(broken[i].when), broken[i].rule, broken[i].text);
    std::cout << clock_text(of_.here().now()) << std::endl;
    return broken.size() == before ? 0 : 1;
  }

  player& of_;
  const scenario& what_;
  reception front_;
};

} // namespace

int run_shell_of(player& of, const scenario& what) {
  return sitting{of, what}.run();
}

} // namespace novacron::simulation
