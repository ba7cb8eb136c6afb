#include "actors/simulation/simulate.hpp"

#include "actors/host/log.hpp"
#include "actors/simulation/plot.hpp"
#include "actors/simulation/scenario.hpp"
#include "actors/simulation/shell_of_world.hpp"
#include "actors/simulation/swarm.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

namespace novacron::simulation {
namespace {

using nlohmann::json;

constexpr auto exit_violated = 1;
constexpr auto exit_failed = 1;
constexpr auto exit_usage = 2;

double processor_seconds() {
  auto used = rusage{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

double seconds(moment x) {
  return std::chrono::duration<double>(x).count();
}

std::string clock_text(moment x) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(x).count();
  return fmt::format("{:02}:{:02}:{:02}.{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

json to_json(const violation& x) {
  return {{"time", seconds(x.when)}, {"rule", x.rule}, {"text", x.text}};
}

json to_json(const outcome& x) {
  auto found = json{{"scenario", x.scenario},
                    {"seed", x.seed},
                    {"hash", fmt::format("{:016x}", x.hash)},
                    {"virtual", seconds(x.virtual_time)},
                    {"events", x.events},
                    {"messages", x.messages.delivered},
                    {"lost_messages", x.messages.lost},
                    {"doubled_messages", x.messages.doubled},
                    {"broken_connections", x.messages.broken},
                    {"orders", x.orders},
                    {"acknowledged", x.acknowledged},
                    {"expectations", x.expectations},
                    {"faults", x.strikes},
                    {"reports", x.reports}};
  found["violations"] = json::array();
  for (const auto& each : x.violations)
    found["violations"].push_back(to_json(each));
  return found;
}

void say(const outcome& x, double cpu) {
  for (const auto& each : x.reports)
    std::cout << each << "\n";
  std::cout << fmt::format("{}, seed {}: {} virtual, {} events, {} messages, {:.2f} s of processor\n", x.scenario,
                           x.seed, clock_text(x.virtual_time), x.events, x.messages.delivered, cpu);
  std::cout << fmt::format("hash {:016x}\n", x.hash);
  if (x.violations.empty())
    std::cout << fmt::format("nothing was violated; {} conditions were looked at, {} orders of {} acknowledged\n",
                             x.expectations, x.acknowledged, x.orders);
  for (const auto& each : x.violations)
    std::cout << fmt::format("VIOLATED at {} ({}): {}\n", clock_text(each.when), each.rule, each.text);
}

/// One line that is written over and over while a person watches.
class progress_line {
public:
  void operator()(const player& p) {
    const auto now = std::chrono::steady_clock::now();
    if (now - shown_ < std::chrono::milliseconds{200})
      return;
    shown_ = now;
    const auto& stage = const_cast<player&>(p).here().stage();
    const auto events = stage.steps() + stage.timers();
    const auto wall = std::chrono::duration<double>(now - began_).count();
    const auto speed = seconds(p.here().now()) / wall;
    std::cerr << fmt::format("\r\033[K{} virtual, {:.0f} events/s, {:.0f}x, {:.0f} s to go", clock_text(p.here().now()),
                             static_cast<double>(events) / wall, speed, speed > 0 ? seconds(p.ahead()) / speed : 0.0)
              << std::flush;
  }
  static void clear() { std::cerr << "\r\033[K" << std::flush; }

private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point shown_;
};

std::set<std::uint32_t> numbers_in(const std::string& text) {
  auto found = std::set<std::uint32_t>{};
  auto in = std::istringstream{text};
  for (auto part = std::string{}; std::getline(in, part, ',');)
    if (!part.empty())
      found.insert(static_cast<std::uint32_t>(std::stoul(part)));
  return found;
}

/// As a word of a command line.
std::string quoted(const std::string& x) {
  if (x.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%") == x.npos)
    return x;
  auto text = std::string{};
  for (const auto c : x)
    text += c == '\'' ? std::string{"'\\''"} : std::string{c};
  return "'" + text + "'";
}

std::string replay_line(const shell::invocation& x, std::uint64_t seed, const std::set<std::uint32_t>& spared) {
  auto line = fmt::format("novacron simulate {} --seed={}", quoted(x.argument(0)), seed);
  for (const auto& each : x.all("let"))
    line += " --let=" + quoted(each);
  if (!spared.empty())
    line += fmt::format(" --without={}", fmt::join(spared, ","));
  return line;
}

void print_table(std::string_view title, const std::vector<std::string>& rows, const coverage_table& counts) {
  std::cout << fmt::format("\n{:<24}", title);
  for (const auto kind : all_fault_kinds())
    std::cout << fmt::format("{:>12}", to_string(kind));
  std::cout << "\n";
  for (const auto& row : rows) {
    std::cout << fmt::format("{:<24}", row);
    for (const auto kind : all_fault_kinds()) {
      const auto found = counts.find({row, std::string{to_string(kind)}});
      std::cout << fmt::format("{:>12}", found == counts.end() ? std::string{"-"} : std::to_string(found->second));
    }
    std::cout << "\n";
  }
}

void print_coverage(const coverage_table& operations, const coverage_table& arrivals) {
  print_table("done, while there was", player::operations(), operations);
  auto empty = 0;
  for (const auto& operation : player::operations())
    for (const auto kind : all_fault_kinds())
      empty += operations.contains({operation, std::string{to_string(kind)}}) ? 0 : 1;
  std::cout << (empty == 0 ? "every operation met every fault\n"
                           : fmt::format("{} of {} cells are empty: more seeds, or a scenario that does more\n", empty,
                                         player::operations().size() * all_fault_kinds().size()));
  auto heard = std::vector<std::string>{};
  for (const auto& [pair, count] : arrivals)
    if (heard.empty() || heard.back() != pair.first)
      heard.push_back(pair.first);
  print_table("arrived, while there was", heard, arrivals);
}

json to_json(const coverage_table& x) {
  auto found = json::object();
  for (const auto& [pair, count] : x)
    found[pair.first][pair.second] = count;
  return found;
}

int play_once(const reading& read, const shell::invocation& x) {
  auto options =
      play_options{.seed = static_cast<std::uint64_t>(x.number("seed", static_cast<std::int64_t>(read.what.seed))),
                   .spared = numbers_in(x.get("without")),
                   .keep_samples = x.has("plot"),
                   .coverage = x.has("coverage")};
  const auto watched = ::isatty(2) == 1;
  auto line = progress_line{};
  if (watched)
    options.progress = [&line](const player& p) { line(p); };
  const auto before = processor_seconds();
  auto play = player{read.what, options};
  const auto found = play.play();
  if (watched)
    progress_line::clear();
  if (x.get("output") == "json") {
    auto all = to_json(found);
    if (x.has("coverage"))
      all["coverage"] = {{"operations", to_json(found.operations)}, {"arrivals", to_json(found.arrivals)}};
    std::cout << all.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    say(found, processor_seconds() - before);
    if (x.has("coverage"))
      print_coverage(found.operations, found.arrivals);
  }
  const auto trouble = x.has("plot") ? keep_plot(x.get("plot"), plot(found)) : std::string{};
  if (!trouble.empty())
    std::cerr << fmt::format("novacron: {}\n", trouble);
  if (x.has("shell"))
    return run_shell_of(play, read.what);
  if (found.violations.empty())
    return trouble.empty() ? 0 : exit_failed;
  std::cerr << "to play it again: " << replay_line(x, options.seed, options.spared) << "\n";
  if (!x.has("shrink"))
    return exit_violated;
  // Another condition that fails without these faults is another story.
  const auto what = [](const violation& v) { return v.rule + v.text.substr(0, v.text.find(' ')); };
  const auto first = what(found.violations.front());
  const auto spared = shrink(found.strikes, [&](const std::set<std::uint32_t>& tried) {
    auto again = options;
    again.progress = {};
    again.spared.insert(tried.begin(), tried.end());
    const auto seen = player{read.what, again}.play();
    return std::ranges::any_of(seen.violations, [&](const violation& v) { return what(v) == first; });
  });
  auto all = options.spared;
  all.insert(spared.begin(), spared.end());
  std::cerr << fmt::format("{} of {} faults are enough: {}\n", found.strikes.size() - spared.size(),
                           found.strikes.size(), replay_line(x, options.seed, all));
  return exit_violated;
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> range_in(const std::string& text) {
  const auto dots = text.find("..");
  try {
    if (dots == text.npos)
      return std::pair{std::uint64_t{1}, static_cast<std::uint64_t>(std::stoull(text))};
    const auto found = std::pair{static_cast<std::uint64_t>(std::stoull(text.substr(0, dots))),
                                 static_cast<std::uint64_t>(std::stoull(text.substr(dots + 2)))};
    return found.first <= found.second ? std::optional{found} : std::nullopt;
  } catch (const std::exception&) {
    return {};
  }
}

int play_many(const reading& read, const shell::invocation& x) {
  const auto range = range_in(x.get("seeds"));
  if (!range) {
    std::cerr << fmt::format("novacron: --seeds is '{}', but must be such as 1..1000\n", x.get("seeds"));
    return exit_usage;
  }
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const auto jobs = static_cast<unsigned>(std::clamp<std::int64_t>(x.number("jobs", cores), 1, 256));
  auto failed = std::vector<seed_result>{};
  auto operations = coverage_table{};
  auto arrivals = coverage_table{};
  auto done = std::uint64_t{0};
  auto events = std::uint64_t{0};
  const auto watched = ::isatty(2) == 1;
  const auto total = range->second - range->first + 1;
  const auto began = std::chrono::steady_clock::now();
  run_swarm(read.what, range->first, range->second, jobs, x.has("coverage"), [&](const seed_result& one) {
    ++done;
    events += one.events;
    for (const auto& [pair, count] : one.operations)
      operations[pair] += count;
    for (const auto& [pair, count] : one.arrivals)
      arrivals[pair] += count;
    if (watched) {
      const auto wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      std::cerr << fmt::format("\r\033[K{} of {} seeds, {} failed, {:.0f} events/s, {:.0f} s to go", done, total,
                               failed.size(), static_cast<double>(events) / wall,
                               wall / static_cast<double>(done) * static_cast<double>(total - done))
                << std::flush;
    }
    if (one.violations == 0)
      return;
    failed.push_back(one);
    std::cerr << fmt::format("{}seed {}: {}\n  {}\n", watched ? "\r\033[K" : "", one.seed, one.first,
                             replay_line(x, one.seed, {}));
  });
  if (watched)
    progress_line::clear();
  if (x.get("output") == "json") {
    auto all = json::array();
    for (const auto& one : failed)
      all.push_back({{"seed", one.seed}, {"first", one.first}});
    auto told = json{{"scenario", read.what.name}, {"seeds", total}, {"events", events}, {"failed", all}};
    if (x.has("coverage"))
      told["coverage"] = {{"operations", to_json(operations)}, {"arrivals", to_json(arrivals)}};
    std::cout << told.dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    std::cout << fmt::format("{}: {} seeds, {} events, {} failed\n", read.what.name, total, events, failed.size());
    if (x.has("coverage"))
      print_coverage(operations, arrivals);
  }
  return failed.empty() ? 0 : exit_violated;
}

} // namespace

int run_simulate(const shell::invocation& x) {
  const auto file = x.argument(0);
  const auto text = read_from_disk(file);
  if (!text) {
    std::cerr << fmt::format("novacron: cannot read {}\n", file);
    return 3;
  }
  auto given = std::map<std::string, std::string>{};
  for (const auto& each : x.all("let")) {
    const auto equals = each.find('=');
    if (equals == each.npos || equals == 0) {
      std::cerr << fmt::format("novacron: --let is '{}', but must be such as --let hosts=100\n", each);
      return exit_usage;
    }
    given[each.substr(0, equals)] = each.substr(equals + 1);
  }
  const auto read = read_scenario(*text, file, read_from_disk, given);
  for (const auto& wrong : read.errors)
    std::cerr << "novacron: " << wrong << "\n";
  if (!read.errors.empty())
    return exit_usage;
  host::set_log_level(x.has("verbose") ? host::level::info : host::level::off);
  return x.has("seeds") ? play_many(read, x) : play_once(read, x);
}

} // namespace novacron::simulation
