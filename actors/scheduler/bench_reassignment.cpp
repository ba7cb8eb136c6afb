#include "actors/scheduler/bench_reassignment.hpp"

#include "actors/host/gzip.hpp"
#include "actors/scheduler/annealing.hpp"
#include "actors/scheduler/reassignment.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <future>
#include <stdexcept>

namespace novacron::scheduler {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) {
  return std::chrono::duration<double>(clock::now() - start).count();
}

struct result {
  assignment where;
  assessment found;
  std::uint64_t steps = 0;
};

/// Histories side by side, of different seeds and prices, as no price is best everywhere; the cheapest wins.
result search(const reassignment& problem, const reassignment_options& options, const budget_share& spent) {
  auto running = std::vector<std::future<annealed>>{};
  for (auto i = 0U; i < std::max(1U, options.threads); ++i)
    running.push_back(std::async(std::launch::async, [&, i] {
      const auto defaults = annealing_options{};
      return anneal(problem, {options.seed + i, defaults.room_price / (1 + i)}, spent);
    }));
  auto best = result{};
  for (auto i = std::size_t{0}; i < running.size(); ++i) {
    auto one = running[i].get();
    auto found = assess(problem, one.where);
    best.steps += one.steps;
    if (i == 0 || found.cost() < best.found.cost()) {
      best.found = std::move(found);
      best.where = std::move(one.where);
    }
  }
  return best;
}

void write(const std::string& path, const assignment& where) {
  auto file = std::ofstream{path};
  if (!(file << write_assignment(where)).flush())
    throw std::runtime_error{"cannot write " + path};
}

} // namespace

std::vector<host::figure> bench_reassignment(const reassignment_options& options) {
  const auto start = clock::now();
  const auto problem = read_reassignment(host::read_unpacked(options.model), host::read_unpacked(options.initial));
  const auto before = assess(problem, problem.home);
  if (!before.faults.empty())
    throw std::runtime_error{options.initial + ": " + before.faults.front()};
  // Counting the result takes no longer than reading took.
  const auto begin = seconds_since(start);
  const auto span = std::max(0.01, options.seconds - 2 * begin);
  const auto clocked = [=](std::uint64_t) { return (seconds_since(start) - begin) / span; };
  const auto best = search(problem, options, options.steps > 0 ? steps_budget(options.steps) : budget_share{clocked});
  const auto searched = seconds_since(start) - begin;
  if (!options.out.empty())
    write(options.out, best.where);
  const auto initial = static_cast<double>(before.cost());
  const auto final = static_cast<double>(best.found.cost());
  const auto bound = static_cast<double>(cost_bound(problem));
  return {{"initial_cost", initial, "1"},
          {"final_cost", final, "1"},
          {"bound", bound, "1"},
          {"gap", initial > 0 ? (final - bound) / initial : 0, "1"},
          {"moved", static_cast<double>(best.found.moved), "1"},
          {"violations", static_cast<double>(best.found.faults.size()), "1"},
          {"steps", static_cast<double>(best.steps), "1"},
          {"step_rate", static_cast<double>(best.steps) / searched, "1/s"}};
}

} // namespace novacron::scheduler
