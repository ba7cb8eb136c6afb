#include "actors/scheduler/service_rules.hpp"

#include <algorithm>

namespace novacron::scheduler {

service_rules::service_rules(const reassignment& problem)
    : machines_{problem.machines}, location_{problem.location}, neighbourhood_{problem.neighbourhood},
      kinds_(problem.services), moved_counts_(problem.processes + 2) {
  for (auto m = std::size_t{0}; m < machines_; ++m) {
    locations_ = std::max<std::size_t>(locations_, location_[m] + 1);
    neighbourhoods_ = std::max<std::size_t>(neighbourhoods_, neighbourhood_[m] + 1);
  }
  auto members = std::vector<std::uint32_t>(problem.services);
  for (const auto service : problem.service)
    ++members[service];
  for (auto s = std::uint32_t{0}; s < problem.services; ++s)
    for (const auto other : problem.depends_on[s])
      if (other != s) {
        kinds_[s].needs.push_back(other);
        kinds_[other].needed_by.push_back(s);
      }
  auto crowds = std::int32_t{0};
  auto spreads = std::int32_t{0};
  auto nears = std::int32_t{0};
  for (auto s = std::size_t{0}; s < problem.services; ++s) {
    auto& x = kinds_[s];
    x.spread_min = problem.spread_min[s];
    if (members[s] > 1)
      x.crowd = crowds++;
    if (x.spread_min > 1)
      x.spread = spreads++;
    if (!x.needs.empty() || !x.needed_by.empty())
      x.near = nears++;
  }
  here_.resize(static_cast<std::size_t>(crowds) * machines_);
  by_location_.resize(static_cast<std::size_t>(spreads) * locations_);
  by_neighbourhood_.resize(static_cast<std::size_t>(nears) * neighbourhoods_);
  for (auto p = std::size_t{0}; p < problem.processes; ++p)
    arrive(kinds_[problem.service[p]], problem.home[p]);
  moved_counts_[0] = static_cast<std::uint32_t>(problem.services);
}

std::uint32_t& service_rules::at_location(const kind& x, std::uint32_t machine) {
  return by_location_[static_cast<std::size_t>(x.spread) * locations_ + location_[machine]];
}

std::uint32_t& service_rules::at_neighbourhood(const kind& x, std::uint32_t machine) {
  return by_neighbourhood_[static_cast<std::size_t>(x.near) * neighbourhoods_ + neighbourhood_[machine]];
}

std::uint32_t service_rules::near_count(std::uint32_t service, std::uint32_t neighbourhood) const {
  return by_neighbourhood_[static_cast<std::size_t>(kinds_[service].near) * neighbourhoods_ + neighbourhood];
}

bool service_rules::keeps_spread(const kind& x, std::uint32_t source, std::uint32_t target) const {
  const auto from = location_[source];
  const auto to = location_[target];
  if (from == to)
    return true;
  const auto row = static_cast<std::size_t>(x.spread) * locations_;
  const auto gained = by_location_[row + to] == 0 ? 1U : 0U;
  const auto lost = by_location_[row + from] == 1 ? 1U : 0U;
  return x.locations + gained >= x.spread_min + lost;
}

bool service_rules::keeps_near(const kind& x, std::uint32_t source, std::uint32_t target) const {
  const auto from = neighbourhood_[source];
  const auto to = neighbourhood_[target];
  if (from == to)
    return true;
  if (!std::ranges::all_of(x.needs, [&](auto other) { return near_count(other, to) > 0; }))
    return false;
  const auto last = by_neighbourhood_[static_cast<std::size_t>(x.near) * neighbourhoods_ + from] == 1;
  return !last || std::ranges::none_of(x.needed_by, [&](auto other) { return near_count(other, from) > 0; });
}

void service_rules::arrive(kind& x, std::uint32_t machine) {
  if (x.crowd >= 0)
    ++here_[static_cast<std::size_t>(x.crowd) * machines_ + machine];
  if (x.spread >= 0 && at_location(x, machine)++ == 0)
    ++x.locations;
  if (x.near >= 0)
    ++at_neighbourhood(x, machine);
}

void service_rules::leave(kind& x, std::uint32_t machine) {
  if (x.crowd >= 0)
    --here_[static_cast<std::size_t>(x.crowd) * machines_ + machine];
  if (x.spread >= 0 && --at_location(x, machine) == 0)
    --x.locations;
  if (x.near >= 0)
    --at_neighbourhood(x, machine);
}

std::uint32_t service_rules::moved_max_after(std::uint32_t service, int change) const {
  const auto moved = kinds_[service].moved;
  if (change > 0)
    return std::max(moved_max_, moved + 1);
  return change < 0 && moved == moved_max_ && moved_counts_[moved] == 1 ? moved_max_ - 1 : moved_max_;
}

void service_rules::move(std::uint32_t service, std::uint32_t source, std::uint32_t target, int change) {
  auto& x = kinds_[service];
  leave(x, source);
  arrive(x, target);
  if (change == 0)
    return;
  moved_max_ = moved_max_after(service, change);
  --moved_counts_[x.moved];
  x.moved = static_cast<std::uint32_t>(static_cast<int>(x.moved) + change);
  ++moved_counts_[x.moved];
}

} // namespace novacron::scheduler
