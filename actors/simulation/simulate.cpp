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
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

namespace novacron::simulation {
namespace {

using nlohmann::json;

constexpr auto exit_violated = 1;
constexpr auto exit_failed = 1;
constexpr auto exit_usage = 2;

std::optional<std::string> read_text(const std::string& name) {
  auto in = std::ifstream{name};
  if (!in)
    return {};
  auto text = std::ostringstream{};
  text << in.rdbuf();
  return text.str();
}

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

std::string replay_line(const std::string& file, std::uint64_t seed, const std::set<std::uint32_t>& spared) {
  auto line = fmt::format("novacron simulate {} --seed={}", file, seed);
  if (!spared.empty())
    line += fmt::format(" --without={}", fmt::join(spared, ","));
  return line;
}

void print_coverage(const std::map<std::pair<std::string, std::string>, std::uint64_t>& counts) {
  auto operations = std::set<std::string>{};
  for (const auto& [pair, count] : counts)
    operations.insert(pair.first);
  std::cout << fmt::format("{:<24}", "");
  for (const auto kind : all_fault_kinds())
    std::cout << fmt::format("{:>12}", to_string(kind));
  std::cout << "\n";
  for (const auto& operation : operations) {
    std::cout << fmt::format("{:<24}", operation);
    for (const auto kind : all_fault_kinds()) {
      const auto found = counts.find({operation, std::string{to_string(kind)}});
      std::cout << fmt::format("{:>12}", found == counts.end() ? std::string{"-"} : std::to_string(found->second));
    }
    std::cout << "\n";
  }
}

int play_once(const reading& read, const std::string& file, const shell::invocation& x) {
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
  if (x.get("output") == "json")
    std::cout << to_json(found).dump(2, ' ', false, json::error_handler_t::replace) << "\n";
  else
    say(found, processor_seconds() - before);
  if (x.has("coverage"))
    print_coverage(found.coverage);
  const auto trouble = x.has("plot") ? keep_plot(x.get("plot"), plot(found)) : std::string{};
  if (!trouble.empty())
    std::cerr << fmt::format("novacron: {}\n", trouble);
  if (x.has("shell"))
    return run_shell_of(play, read.what);
  if (found.violations.empty())
    return trouble.empty() ? 0 : exit_failed;
  std::cerr << "to play it again: " << replay_line(file, options.seed, options.spared) << "\n";
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
                           found.strikes.size(), replay_line(file, options.seed, all));
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

int play_many(const reading& read, const std::string& file, const shell::invocation& x) {
  const auto range = range_in(x.get("seeds"));
  if (!range) {
    std::cerr << fmt::format("novacron: --seeds is '{}', but must be such as 1..1000\n", x.get("seeds"));
    return exit_usage;
  }
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const auto jobs = static_cast<unsigned>(std::clamp<std::int64_t>(x.number("jobs", cores), 1, 256));
  auto failed = std::vector<seed_result>{};
  auto coverage = std::map<std::pair<std::string, std::string>, std::uint64_t>{};
  auto done = std::uint64_t{0};
  auto events = std::uint64_t{0};
  const auto watched = ::isatty(2) == 1;
  const auto total = range->second - range->first + 1;
  const auto began = std::chrono::steady_clock::now();
  run_swarm(read.what, range->first, range->second, jobs, x.has("coverage"), [&](const seed_result& one) {
    ++done;
    events += one.events;
    for (const auto& [pair, count] : one.coverage)
      coverage[pair] += count;
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
                             replay_line(file, one.seed, {}));
  });
  if (watched)
    progress_line::clear();
  if (x.get("output") == "json") {
    auto all = json::array();
    for (const auto& one : failed)
      all.push_back({{"seed", one.seed}, {"first", one.first}});
    std::cout << json{{"scenario", read.what.name}, {"seeds", total}, {"events", events}, {"failed", all}}.dump(2)
              << "\n";
  } else {
    std::cout << fmt::format("{}: {} seeds, {} events, {} failed\n", read.what.name, total, events, failed.size());
  }
  if (x.has("coverage"))
    print_coverage(coverage);
  return failed.empty() ? 0 : exit_violated;
}

} // namespace

int run_simulate(const shell::invocation& x) {
  const auto file = x.argument(0);
  const auto text = read_text(file);
  if (!text) {
    std::cerr << fmt::format("novacron: cannot read {}\n", file);
    return 3;
  }
  const auto read = read_scenario(*text, file, read_text);
  for (const auto& wrong : read.errors)
    std::cerr << "novacron: " << wrong << "\n";
  if (!read.errors.empty())
    return exit_usage;
  host::set_log_level(x.has("verbose") ? host::level::info : host::level::off);
  return x.has("seeds") ? play_many(read, file, x) : play_once(read, file, x);
}

} // namespace novacron::simulation
