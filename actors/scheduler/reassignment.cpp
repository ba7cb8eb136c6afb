#include "actors/scheduler/reassignment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <stdexcept>
#include <system_error>

namespace novacron::scheduler {
namespace {

constexpr auto wide = std::int64_t{std::numeric_limits<std::uint32_t>::max()};
constexpr auto faults_max = std::size_t{100};

/// Numbers between spaces, each with its name for the error.
class numbers {
public:
  numbers(std::string_view what, std::string_view text) : what_{what}, rest_{text} {}

  std::int64_t next(std::string_view name, std::int64_t limit = wide) {
    skip();
    ++count_;
    auto value = std::int64_t{0};
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{} || value < 0 || value > limit)
      throw std::runtime_error{fmt::format("{}: number {}, {}, is not between 0 and {}", what_, count_, name, limit)};
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return value;
  }

  std::uint32_t index(std::string_view name, std::size_t size) {
    if (size == 0)
      throw std::runtime_error{fmt::format("{}: there is nothing that {} could name", what_, name)};
    return static_cast<std::uint32_t>(next(name, static_cast<std::int64_t>(size) - 1));
  }

  void finish() {
    skip();
    if (!rest_.empty())
      throw std::runtime_error{fmt::format("{}: more than the {} numbers expected", what_, count_)};
  }

private:
  void skip() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }

  std::string_view what_;
  std::string_view rest_;
  std::size_t count_ = 0;
};

void read_machines(numbers& from, reassignment& problem) {
  problem.machines = static_cast<std::size_t>(from.next("the number of machines", 5000));
  const auto count = problem.machines;
  for (auto m = std::size_t{0}; m < count; ++m) {
    problem.neighbourhood.push_back(from.index("a neighbourhood", 5000));
    problem.location.push_back(from.index("a location", 5000));
    for (auto r = std::size_t{0}; r < problem.resources; ++r)
      problem.capacity.push_back(from.next("a capacity"));
    for (auto r = std::size_t{0}; r < problem.resources; ++r)
      problem.safety.push_back(from.next("a safety capacity"));
    for (auto n = std::size_t{0}; n < count; ++n)
      problem.machine_move_cost.push_back(static_cast<std::uint32_t>(from.next("a machine move cost")));
  }
}

void read_services(numbers& from, reassignment& problem) {
  problem.services = static_cast<std::size_t>(from.next("the number of services", 1'000'000));
  for (auto s = std::size_t{0}; s < problem.services; ++s) {
    problem.spread_min.push_back(static_cast<std::uint32_t>(from.next("a spread")));
    auto& others = problem.depends_on.emplace_back();
    const auto count = from.next("a number of dependencies", static_cast<std::int64_t>(problem.services));
    for (auto i = std::int64_t{0}; i < count; ++i)
      others.push_back(from.index("a dependency", problem.services));
  }
}

void read_processes(numbers& from, reassignment& problem) {
  problem.processes = static_cast<std::size_t>(from.next("the number of processes", 1'000'000));
  for (auto p = std::size_t{0}; p < problem.processes; ++p) {
    problem.service.push_back(from.index("a service", problem.services));
    for (auto r = std::size_t{0}; r < problem.resources; ++r)
      problem.need.push_back(from.next("a requirement"));
    problem.process_move_cost.push_back(from.next("a process move cost"));
  }
}

void read_weights(numbers& from, reassignment& problem) {
  const auto count = from.next("the number of balance costs", 1000);
  for (auto i = std::int64_t{0}; i < count; ++i) {
    auto x = reassignment::balance{};
    x.first = from.index("a balanced resource", problem.resources);
    x.second = from.index("a balanced resource", problem.resources);
    x.target = from.next("a balance target");
    x.weight = from.next("a balance weight");
    problem.balances.push_back(x);
  }
  problem.process_move_weight = from.next("the weight of process moves");
  problem.service_move_weight = from.next("the weight of service moves");
  problem.machine_move_weight = from.next("the weight of machine moves");
}

/// Searches count costs in doubles, which are exact up to this.
constexpr auto exact_max = 9007199254740992.0;

void check_scale(const reassignment& problem) {
  auto greatest = 0.0;
  const auto machines = static_cast<double>(problem.machines);
  const auto processes = static_cast<double>(problem.processes);
  const auto capacity = problem.capacity.empty() ? 0.0 : static_cast<double>(std::ranges::max(problem.capacity));
  for (const auto weight : problem.load_weight)
    greatest += static_cast<double>(weight) * capacity * machines;
  for (const auto& x : problem.balances)
    greatest += static_cast<double>(x.weight) * static_cast<double>(x.target) * capacity * machines;
  for (const auto cost : problem.process_move_cost)
    greatest += static_cast<double>(problem.process_move_weight) * static_cast<double>(cost);
  greatest += static_cast<double>(problem.service_move_weight) * processes;
  if (!problem.machine_move_cost.empty())
    greatest += static_cast<double>(problem.machine_move_weight) * processes *
                static_cast<double>(std::ranges::max(problem.machine_move_cost));
  if (greatest > exact_max)
    throw std::runtime_error{
        fmt::format("model: costs could reach {:.3g}, more than can be counted exactly", greatest)};
}

/// What is used where, by machine and resource.
struct usage {
  std::vector<std::int64_t> now;
  /// What moved processes still hold at home.
  std::vector<std::int64_t> left;
};

usage usage_of(const reassignment& problem, const assignment& where) {
  auto found = usage{std::vector<std::int64_t>(problem.machines * problem.resources),
                     std::vector<std::int64_t>(problem.machines * problem.resources)};
  for (auto p = std::size_t{0}; p < problem.processes; ++p)
    for (auto r = std::size_t{0}; r < problem.resources; ++r) {
      found.now[where[p] * problem.resources + r] += problem.need_of(p, r);
      if (problem.transient[r] != 0 && where[p] != problem.home[p])
        found.left[problem.home[p] * problem.resources + r] += problem.need_of(p, r);
    }
  return found;
}

void assess_machines(const reassignment& problem, const usage& use, assessment& found) {
  const auto say = [&](std::string text) {
    if (found.faults.size() < faults_max)
      found.faults.push_back(std::move(text));
  };
  for (auto m = std::size_t{0}; m < problem.machines; ++m) {
    const auto used = [&](std::size_t r) { return use.now[m * problem.resources + r]; };
    for (auto r = std::size_t{0}; r < problem.resources; ++r) {
      if (used(r) + use.left[m * problem.resources + r] > problem.capacity_of(m, r))
        say(fmt::format("machine {} holds more of resource {} than it has", m, r));
      found.load += problem.load_weight[r] * std::max<std::int64_t>(0, used(r) - problem.safety_of(m, r));
    }
    for (const auto& x : problem.balances) {
      const auto first = problem.capacity_of(m, x.first) - used(x.first);
      const auto second = problem.capacity_of(m, x.second) - used(x.second);
      found.balance += x.weight * std::max<std::int64_t>(0, x.target * first - second);
    }
  }
}

void assess_services(const reassignment& problem, const assignment& where, assessment& found) {
  const auto say = [&](std::string text) {
    if (found.faults.size() < faults_max)
      found.faults.push_back(std::move(text));
  };
  auto members = std::vector<std::vector<std::size_t>>(problem.services);
  for (auto p = std::size_t{0}; p < problem.processes; ++p)
    members[problem.service[p]].push_back(p);
  auto around = std::vector<std::set<std::uint32_t>>(problem.services);
  auto moved_max = std::size_t{0};
  for (auto s = std::size_t{0}; s < problem.services; ++s) {
    auto machines = std::set<std::uint32_t>{};
    auto locations = std::set<std::uint32_t>{};
    auto moved = std::size_t{0};
    for (const auto p : members[s]) {
      if (!machines.insert(where[p]).second)
        say(fmt::format("two processes of service {} run on machine {}", s, where[p]));
      locations.insert(problem.location[where[p]]);
      around[s].insert(problem.neighbourhood[where[p]]);
      moved += where[p] != problem.home[p];
    }
    if (locations.size() < problem.spread_min[s])
      say(fmt::format("service {} runs in {} locations instead of {}", s, locations.size(), problem.spread_min[s]));
    moved_max = std::max(moved_max, moved);
  }
  for (auto s = std::size_t{0}; s < problem.services; ++s)
    for (const auto other : problem.depends_on[s])
      for (const auto place : around[s])
        if (!around[other].contains(place))
          say(fmt::format("service {} runs in neighbourhood {} without service {}", s, place, other));
  found.service_moves = problem.service_move_weight * static_cast<std::int64_t>(moved_max);
}

} // namespace

reassignment read_reassignment(std::string_view model, std::string_view initial) {
  auto problem = reassignment{};
  auto from = numbers{"model", model};
  problem.resources = static_cast<std::size_t>(from.next("the number of resources", 1000));
  for (auto r = std::size_t{0}; r < problem.resources; ++r) {
    problem.transient.push_back(static_cast<char>(from.next("whether a resource is transient", 1)));
    problem.load_weight.push_back(from.next("a load weight"));
  }
  read_machines(from, problem);
  read_services(from, problem);
  read_processes(from, problem);
  read_weights(from, problem);
  from.finish();
  check_scale(problem);
  problem.home = read_assignment(problem, initial);
  return problem;
}

assignment read_assignment(const reassignment& problem, std::string_view text) {
  auto from = numbers{"assignment", text};
  auto where = assignment{};
  for (auto p = std::size_t{0}; p < problem.processes; ++p)
    where.push_back(from.index("a machine", problem.machines));
  from.finish();
  return where;
}

std::string write_assignment(const assignment& where) {
  auto text = fmt::format("{}", fmt::join(where, " "));
  text += '\n';
  return text;
}

assessment assess(const reassignment& problem, const assignment& where) {
  auto found = assessment{};
  assess_machines(problem, usage_of(problem, where), found);
  assess_services(problem, where, found);
  for (auto p = std::size_t{0}; p < problem.processes; ++p) {
    if (where[p] == problem.home[p])
      continue;
    ++found.moved;
    found.process_moves += problem.process_move_weight * problem.process_move_cost[p];
    found.machine_moves +=
        problem.machine_move_weight * problem.machine_move_cost[problem.home[p] * problem.machines + where[p]];
  }
  return found;
}

std::int64_t cost_bound(const reassignment& problem) {
  auto capacity = std::vector<std::int64_t>(problem.resources);
  auto safety = std::vector<std::int64_t>(problem.resources);
  auto used = std::vector<std::int64_t>(problem.resources);
  for (auto r = std::size_t{0}; r < problem.resources; ++r) {
    for (auto m = std::size_t{0}; m < problem.machines; ++m) {
      capacity[r] += problem.capacity_of(m, r);
      safety[r] += problem.safety_of(m, r);
    }
    for (auto p = std::size_t{0}; p < problem.processes; ++p)
      used[r] += problem.need_of(p, r);
  }
  auto sum = std::int64_t{0};
  for (auto r = std::size_t{0}; r < problem.resources; ++r)
    sum += problem.load_weight[r] * std::max<std::int64_t>(0, used[r] - safety[r]);
  for (const auto& x : problem.balances) {
    const auto first = capacity[x.first] - used[x.first];
    const auto second = capacity[x.second] - used[x.second];
    sum += x.weight * std::max<std::int64_t>(0, x.target * first - second);
  }
  return sum;
}

} // namespace novacron::scheduler
