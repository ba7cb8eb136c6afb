#include "actors/scheduler/bench_window.hpp"

#include "actors/host/gzip.hpp"
#include "actors/scheduler/window_foresight.hpp"
#include "actors/scheduler/window_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <random>
#include <span>
#include <stdexcept>
#include <utility>

namespace novacron::scheduler {
namespace {

using clock = std::chrono::steady_clock;

/// Above, the optimum after each decision is not computed.
constexpr auto exact_max = std::size_t{14};

void write(const std::string& path, const std::string& text) {
  auto file = std::ofstream{path};
  if (!(file << text).flush())
    throw std::runtime_error{"cannot write " + path};
}

/// What can still be placed once the first `count` requests are where they are, and the next on `node` where that is
/// not -2.
double reachable(const window& x, const window_choices& where, std::size_t count, std::int32_t node) {
  auto search = window_search{};
  auto nodes = x.nodes;
  auto apps = std::size_t{0};
  for (const auto& r : x.requests)
    apps = std::max<std::size_t>(apps, r.app + 1);
  auto held = std::vector<std::uint16_t>(nodes.size() * apps);
  auto value = 0.0;
  const auto put = [&](const window_request& r, std::int32_t at) {
    if (at < 0)
      return;
    const auto to = static_cast<std::size_t>(at);
    for (auto d = std::size_t{0}; d < r.need.size(); ++d)
      nodes[to][d] -= r.need[d];
    ++held[to * apps + r.app];
    value += r.value;
  };
  for (auto i = std::size_t{0}; i < count; ++i)
    put(x.requests[i], where[i]);
  const auto next = node == -2 ? count : count + 1;
  if (next > count)
    put(x.requests[count], node);
  const auto rest = std::span{x.requests}.subspan(next);
  return value + search.solve(nodes, held, apps, rest, std::uint64_t{1} << 40).value;
}

struct tally {
  std::size_t decisions = 0;
  std::size_t optimal = 0;
  std::size_t critical = 0;
  std::size_t critical_optimal = 0;
};

bool same(double one, double two) {
  return std::abs(one - two) <= 1e-6 * (1 + std::abs(one));
}

void count_decision(const window& x, const window_choices& where, std::size_t at, tally& all) {
  const auto before = reachable(x, where, at, -2);
  auto values = std::vector<double>{};
  for (auto node = std::int32_t{0}; node < static_cast<std::int32_t>(x.nodes.size()); ++node) {
    auto trial = window_choices(where.begin(), where.begin() + static_cast<std::ptrdiff_t>(at));
    trial.push_back(node);
    // What came before breaks no rule, so a violation is this request's.
    if (judge(x, trial).violations == 0)
      values.push_back(reachable(x, where, at, node));
  }
  if (values.empty())
    return;
  const auto [least, most] = std::ranges::minmax(values);
  const auto good = same(reachable(x, where, at, where[at]), before);
  ++all.decisions;
  all.optimal += good;
  if (!same(least, most)) {
    ++all.critical;
    all.critical_optimal += good;
  }
}

double share(double part, double whole) {
  return whole > 0 ? part / whole : 1;
}

} // namespace

std::vector<host::figure> bench_window(const window_options& options) {
  if (options.mode != "online" && options.mode != "batch")
    throw std::runtime_error{"--mode=" + options.mode + " should be online or batch"};
  const auto all = read_windows(host::read_unpacked(options.file));
  auto foresight = window_foresight{{.seed = options.seed}};
  auto rows = std::vector<std::vector<std::int64_t>>{};
  auto lines = std::string{};
  auto times = std::vector<double>{};
  auto decision_times = std::vector<double>{};
  auto decisions = tally{};
  auto placed = 0.0;
  auto optimum = 0.0;
  auto violations = std::size_t{0};
  auto whole = std::size_t{0};
  for (const auto& x : all) {
    const auto begin = clock::now();
    const auto where = options.mode == "batch" ? place_window(x) : place_one_by_one(foresight, x);
    times.push_back(std::chrono::duration<double>(clock::now() - begin).count());
    decision_times.push_back(times.back() / static_cast<double>(std::max<std::size_t>(1, x.requests.size())));
    const auto verdict = judge(x, where);
    placed += verdict.value;
    optimum += x.optimum;
    violations += verdict.violations;
    whole += verdict.value >= x.optimum - 1e-6 * (1 + x.optimum);
    if (options.mode == "online" && x.requests.size() <= exact_max)
      for (auto i = std::size_t{0}; i < x.requests.size(); ++i)
        count_decision(x, where, i, decisions);
    rows.emplace_back(where.begin(), where.end());
    lines += fmt::format("{}\n", fmt::join(where, " "));
  }
  if (!options.out.empty())
    write(options.out, lines);
  const auto number = [](std::size_t x) { return static_cast<double>(x); };
  auto best_fit = window_foresight{{.futures = 0}};
  auto peer = 0.0;
  for (const auto& x : all)
    peer += judge(x, place_one_by_one(best_fit, x)).value;
  auto found = std::vector{host::beside("value", share(placed, optimum), "1", "best fit", share(peer, optimum))};
  if (decisions.decisions > 0) {
    found.push_back({"critical", share(number(decisions.critical_optimal), number(decisions.critical)), "1"});
    found.push_back({"critical_share", share(number(decisions.critical), number(decisions.decisions)), "1"});
    found.push_back({"optimal", share(number(decisions.optimal), number(decisions.decisions)), "1"});
  }
  found.push_back({"zero_regret", share(number(whole), number(all.size())), "1"});
  found.push_back({"window_p50", host::quantile(times, 0.5), "s"});
  found.push_back({"window_max", host::quantile(times, 1), "s"});
  found.push_back({"decision_p50", host::quantile(decision_times, 0.5), "s"});
  found.push_back({"violations", number(violations), "1"});
  found.push_back({.name = "choices", .value = number(rows.size()), .unit = "1", .rows = std::move(rows)});
  return found;
}

void make_windows(const std::string& file, std::size_t count, std::uint64_t seed) {
  auto chance = std::mt19937_64{seed};
  const auto maker = window_maker{chance};
  auto all = std::vector<window>{};
  for (auto i = std::size_t{0}; i < count; ++i) {
    all.push_back(maker.make(chance));
    all.back().optimum = window_optimum(all.back());
  }
  write(file, write_windows(all));
}

} // namespace novacron::scheduler
