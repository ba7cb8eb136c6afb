#include "actors/scheduler/annealing.hpp"

#include "actors/scheduler/machine_loads.hpp"
#include "actors/scheduler/service_rules.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>

namespace novacron::scheduler {
namespace {

/// splitmix64 (Steele, Lea, Flood 2014): two multiplications a number, any seed is a good one.
class chance {
public:
  explicit chance(std::uint64_t seed) : state_{seed} {}

  std::uint64_t next() {
    auto x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

private:
  std::uint64_t state_;
};

/// A number below `size` from 32 random bits.
std::uint32_t scaled(std::uint64_t bits, std::size_t size) {
  return static_cast<std::uint32_t>((bits & 0xffffffff) * size >> 32);
}

/// -ln of 4096 shares between 0 and 1: how many temperatures worse a step may be.
std::array<double, 4096> patience_table() {
  auto table = std::array<double, 4096>{};
  for (auto i = std::size_t{0}; i < table.size(); ++i)
    table[i] = -std::log((static_cast<double>(i) + 0.5) / static_cast<double>(table.size()));
  return table;
}

/// The course of the search. Temperatures are in units of what a process weighs on average, prices in load weights, so
/// that one course serves every instance.
struct course {
  double hot = 0;
  double price = 0;

  /// From half the weight of a process to where only the finest moves are left, then quenched: without the
  /// last tenth 5,000 to 20,000 moves stay that bring nothing.
  double temperature(double share) const {
    return share < 0.9 ? hot * std::pow(1e-3, share / 0.9) : hot * 1e-3 * std::pow(1e-3, (share - 0.9) / 0.1);
  }
  /// Transient resources are held twice by what moved, so the room for strangers on a machine never grows. Sold too
  /// cheap while it is hot, that room is gone before it is known who needs it most: without a price b_8 of the
  /// ROADEF set stays 12 % above its bound, with it 0.01 %.
  double room_price(double share) const { return price * std::max(0.0, 1 - share / 0.75); }
};

constexpr auto hot_weights = 0.3;

double mean_weight(const reassignment& problem) {
  auto sum = 0.0;
  for (auto p = std::size_t{0}; p < problem.processes; ++p)
    for (auto r = std::size_t{0}; r < problem.resources; ++r)
      sum += static_cast<double>(problem.load_weight[r]) * static_cast<double>(problem.need_of(p, r));
  return problem.processes == 0 ? 0 : sum / static_cast<double>(problem.processes);
}

course course_of(const reassignment& problem, double room_price) {
  auto weights = 0.0;
  for (const auto x : problem.load_weight)
    weights += static_cast<double>(x);
  const auto mean = problem.resources == 0 ? 0 : weights / static_cast<double>(problem.resources);
  return {std::max(1.0, hot_weights * mean_weight(problem)), room_price * mean};
}

/// What each process takes of the transient room when away, all resources brought to the same total.
std::vector<double> transient_sizes(const reassignment& problem) {
  auto totals = std::vector<double>(problem.resources);
  auto mean = 0.0;
  for (auto r = std::size_t{0}; r < problem.resources; ++r) {
    for (auto m = std::size_t{0}; m < problem.machines; ++m)
      totals[r] += static_cast<double>(problem.capacity_of(m, r));
    mean += totals[r] / static_cast<double>(problem.resources);
  }
  auto sizes = std::vector<double>(problem.processes);
  for (auto p = std::size_t{0}; p < problem.processes; ++p)
    for (auto r = std::size_t{0}; r < problem.resources; ++r)
      if (problem.transient[r] != 0 && totals[r] > 0)
        sizes[p] += static_cast<double>(problem.need_of(p, r)) * mean / totals[r];
  return sizes;
}

template <class Word, std::size_t Width>
class annealer {
public:
  annealer(const reassignment& problem, const annealing_options& options)
      : problem_{problem}, course_{course_of(problem, options.room_price)}, chance_{options.seed}, rules_{problem},
        loads_{problem}, sizes_{transient_sizes(problem)}, where_{problem.home}, costs_(problem.machines) {
    for (auto p = std::size_t{0}; p < problem.processes; ++p)
      loads_.add(where_[p], p);
    for (auto m = std::size_t{0}; m < problem.machines; ++m)
      cost_ += costs_[m] = loads_.cost(m);
  }

  annealed run(const budget_share& spent) {
    auto best = annealed{where_, 0};
    auto best_cost = cost_;
    if (problem_.machines < 2 || problem_.processes == 0)
      return best;
    for (auto share = spent(0); share < 1; share = spent(best.steps)) {
      temperature_ = course_.temperature(share);
      price_ = course_.room_price(share);
      for (auto i = 0; i < 1024; ++i)
        step();
      best.steps += 1024;
      // Copies are dear; while it is hot the best will be beaten anyway.
      if (cost_ < best_cost && share > 0.97) {
        best.where = where_;
        best_cost = cost_;
      }
    }
    if (cost_ < best_cost)
      best.where = where_;
    return best;
  }

private:
  void step() {
    const auto who = chance_.next();
    const auto how = chance_.next();
    const auto worse = temperature_ * patience_[how >> 52];
    const auto process = scaled(who, problem_.processes);
    if ((how & 1) != 0)
      return try_swap(process, scaled(who >> 32, problem_.processes), worse);
    // One in sixteen goes home, where the price is saved.
    const auto target = (how & 30) == 0 ? problem_.home[process] : scaled(who >> 32, problem_.machines);
    try_move(process, target, worse);
  }

  double move_cost(std::uint32_t process, std::uint32_t machine) const {
    const auto home = problem_.home[process];
    if (machine == home)
      return 0;
    return static_cast<double>(problem_.process_move_weight * problem_.process_move_cost[process] +
                               problem_.machine_move_weight *
                                   problem_.machine_move_cost[home * problem_.machines + machine]);
  }

  double priced(std::uint32_t process, std::uint32_t machine) const {
    return machine == problem_.home[process] ? 0 : price_ * sizes_[process];
  }

  /// -1 for a process that goes home, 1 for one that leaves it.
  int change(std::uint32_t process, std::uint32_t target) const {
    const auto home = problem_.home[process];
    return int{target != home} - int{where_[process] != home};
  }

  double service_cost(std::uint32_t moved_max) const {
    return static_cast<double>(problem_.service_move_weight * moved_max);
  }

  void try_move(std::uint32_t process, std::uint32_t target, double worse) {
    const auto source = where_[process];
    const auto service = problem_.service[process];
    if (target == source || rules_.crowded(service, target))
      return;
    const auto joined = loads_.cost_with(target, process, target == problem_.home[process]);
    const auto moves = move_cost(process, target) - move_cost(process, source);
    const auto price = priced(process, target) - priced(process, source);
    const auto gain = joined - costs_[target] + moves;
    // Leaving cannot save more than all that the source costs.
    if (!(gain + price - costs_[source] <= worse))
      return;
    const auto left = loads_.cost_without(source, process);
    auto delta = gain + left - costs_[source];
    if (delta + price > worse)
      return;
    delta += service_cost(rules_.moved_max_after(service, change(process, target))) - service_cost(rules_.moved_max());
    if (delta + price > worse || !rules_.allows(service, source, target))
      return;
    apply(process, target);
    costs_[source] = left;
    costs_[target] = joined;
    cost_ += delta;
  }

  void try_swap(std::uint32_t first, std::uint32_t second, double worse) {
    const auto source = where_[first];
    const auto target = where_[second];
    const auto one = problem_.service[first];
    const auto two = problem_.service[second];
    // Two of one service stand in for each other; they differ in what they need.
    if (source == target || (one != two && (rules_.crowded(one, target) || rules_.crowded(two, source))))
      return;
    const auto& home = problem_.home;
    const auto moves =
        move_cost(first, target) - move_cost(first, source) + move_cost(second, source) - move_cost(second, target);
    const auto price = priced(first, target) - priced(first, source) + priced(second, source) - priced(second, target);
    const auto here = loads_.cost_traded(source, first, home[first] == source, second, home[second] == source);
    const auto half = here - costs_[source] + moves;
    if (!(half + price - costs_[target] <= worse))
      return;
    const auto there = loads_.cost_traded(target, second, home[second] == target, first, home[first] == target);
    const auto before = rules_.moved_max();
    auto delta = half + there - costs_[target];
    if (!(delta + price <= worse) || (one != two && !rules_.allows(one, source, target)))
      return;
    apply(first, target);
    if (one != two && !rules_.allows(two, target, source))
      return apply(first, source);
    apply(second, source);
    delta += service_cost(rules_.moved_max()) - service_cost(before);
    if (delta + price > worse) {
      apply(second, target);
      apply(first, source);
      return;
    }
    costs_[source] = here;
    costs_[target] = there;
    cost_ += delta;
  }

  void apply(std::uint32_t process, std::uint32_t target) {
    const auto source = where_[process];
    const auto home = problem_.home[process];
    rules_.move(problem_.service[process], source, target, change(process, target));
    loads_.remove(source, process);
    loads_.add(target, process);
    if (source == home)
      loads_.hold(home, process, true);
    if (target == home)
      loads_.hold(home, process, false);
    where_[process] = target;
  }

  const reassignment& problem_;
  course course_;
  chance chance_;
  service_rules rules_;
  machine_loads<Word, Width> loads_;
  std::vector<double> sizes_;
  assignment where_;
  /// Per machine, kept beside the loads.
  std::vector<double> costs_;
  double cost_ = 0;
  double temperature_ = 0;
  double price_ = 0;
  std::array<double, 4096> patience_ = patience_table();
};

/// Every load, need and limit of the problem lies within a quarter of an int.
bool is_narrow(const reassignment& problem) {
  constexpr auto limit = std::int64_t{std::numeric_limits<std::int32_t>::max() / 4};
  const auto small = [&](const std::vector<std::int64_t>& all) {
    return std::ranges::all_of(all, [&](auto x) { return x <= limit; });
  };
  if (!small(problem.capacity) || !small(problem.safety) || !small(problem.need))
    return false;
  const auto capacity = problem.capacity.empty() ? 0 : std::ranges::max(problem.capacity);
  return std::ranges::all_of(problem.balances,
                             [&](const auto& x) { return x.target <= limit / std::max<std::int64_t>(1, capacity); });
}

template <class Word>
annealed anneal_in(const reassignment& problem, const annealing_options& options, const budget_share& spent) {
  const auto lanes = problem.resources + problem.balances.size();
  if (lanes <= 4)
    return annealer<Word, 1>{problem, options}.run(spent);
  if (lanes <= 8)
    return annealer<Word, 2>{problem, options}.run(spent);
  if (lanes <= 12)
    return annealer<Word, 3>{problem, options}.run(spent);
  if (lanes <= 16)
    return annealer<Word, 4>{problem, options}.run(spent);
  if (lanes <= 32)
    return annealer<Word, 8>{problem, options}.run(spent);
  throw std::runtime_error{"more than 32 resources and balances"};
}

} // namespace

annealed anneal(const reassignment& problem, const annealing_options& options, const budget_share& spent) {
  return is_narrow(problem) ? anneal_in<std::int32_t>(problem, options, spent)
                            : anneal_in<double>(problem, options, spent);
}

budget_share steps_budget(std::uint64_t steps) {
  return [=](std::uint64_t done) { return steps == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(steps); };
}

} // namespace novacron::scheduler
