#include "actors/scheduler/window_foresight.hpp"

#include <algorithm>
#include <limits>

namespace novacron::scheduler {
namespace {

/// Looks at requests and nodes per decision, in all futures and choices: some 0.03 s.
constexpr auto looks_max = std::size_t{2'000'000};
/// Partial placements per future. A dozen requests need a few hundred on average.
constexpr auto steps_max = std::uint64_t{2000};

} // namespace

window_foresight::window_foresight(const foresight_options& options) : options_{options}, chance_{options.seed} {}

void window_foresight::begin(std::span<const window_amount> nodes, std::size_t requests) {
  free_.assign(nodes.begin(), nodes.end());
  guests_.clear();
  left_ = requests;
  scale_ = {1, 1, 1};
  for (const auto& x : free_)
    for (auto d = std::size_t{0}; d < x.size(); ++d)
      scale_[d] += std::max(0.0, x[d]);
}

bool window_foresight::admits(std::size_t node, const window_request& x) const {
  if (!fits(x.need, free_[node]))
    return false;
  auto count = std::int32_t{1};
  auto cap = x.cap < 0 ? std::numeric_limits<std::int32_t>::max() : x.cap;
  for (const auto& g : guests_) {
    if (g.node != node || g.app != x.app)
      continue;
    ++count;
    if (g.cap >= 0)
      cap = std::min(cap, g.cap);
  }
  return count <= cap;
}

void window_foresight::remember(const window_request& x) {
  if (past_.size() < options_.memory) {
    past_.push_back(x);
    return;
  }
  past_[oldest_] = x;
  oldest_ = (oldest_ + 1) % past_.size();
}

void window_foresight::take(std::size_t node, const window_request& x) {
  for (auto d = std::size_t{0}; d < x.need.size(); ++d)
    free_[node][d] -= x.need[d];
  guests_.push_back({node, x.app, x.cap});
}

/// Nodes that admit the request, one of those that are alike.
std::vector<std::int32_t> window_foresight::candidates(const window_request& x) const {
  auto found = std::vector<std::int32_t>{};
  const auto empty = [&](std::size_t node) {
    return std::ranges::none_of(guests_, [&](const auto& g) { return g.node == node; });
  };
  for (auto node = std::size_t{0}; node < free_.size(); ++node) {
    if (!admits(node, x))
      continue;
    const auto twin = std::ranges::any_of(found, [&](auto other) {
      const auto at = static_cast<std::size_t>(other);
      return free_[at] == free_[node] && empty(at) && empty(node);
    });
    if (!twin)
      found.push_back(static_cast<std::int32_t>(node));
  }
  return found;
}

std::int32_t window_foresight::tightest(const std::vector<std::int32_t>& nodes) const {
  const auto left = [&](std::int32_t node) {
    auto sum = 0.0;
    for (auto d = std::size_t{0}; d < scale_.size(); ++d)
      sum += free_[static_cast<std::size_t>(node)][d] / scale_[d];
    return sum;
  };
  return *std::ranges::min_element(nodes, {}, left);
}

void window_foresight::draw() {
  future_.clear();
  for (auto i = std::size_t{0}; i < left_; ++i)
    future_.push_back(past_[chance_() % past_.size()]);
}

/// Numbers the apps of this future and of the request, and counts them on every node.
void window_foresight::lay_held(const window_request& x) {
  apps_.assign(1, x.app);
  for (auto& r : future_) {
    const auto at = static_cast<std::size_t>(std::ranges::find(apps_, r.app) - apps_.begin());
    if (at == apps_.size())
      apps_.push_back(r.app);
    r.app = static_cast<std::uint32_t>(at);
  }
  held_.assign(free_.size() * apps_.size(), 0);
  for (const auto& g : guests_)
    if (const auto at = std::ranges::find(apps_, g.app); at != apps_.end())
      ++held_[g.node * apps_.size() + static_cast<std::size_t>(at - apps_.begin())];
}

std::int32_t window_foresight::best(const std::vector<std::int32_t>& nodes, const window_request& x) {
  const auto fallback = tightest(nodes);
  if (left_ == 0)
    return fallback;
  const auto looks = nodes.size() * left_ * std::max<std::size_t>(1, free_.size());
  const auto futures = std::clamp<std::size_t>(looks_max / looks, 4, options_.futures);
  const auto steps = std::clamp<std::uint64_t>(looks_max / looks / 4, 2, steps_max);
  auto sums = std::vector<double>(nodes.size() + 1);
  for (auto i = std::size_t{0}; i < futures; ++i) {
    draw();
    lay_held(x);
    for (auto at = std::size_t{0}; at < nodes.size(); ++at) {
      const auto node = static_cast<std::size_t>(nodes[at]);
      const auto before = free_[node];
      for (auto d = std::size_t{0}; d < before.size(); ++d)
        free_[node][d] -= x.need[d];
      ++held_[node * apps_.size()];
      sums[at] += x.value + search_.solve(free_, held_, apps_.size(), future_, steps).value;
      --held_[node * apps_.size()];
      free_[node] = before;
    }
    sums.back() += search_.solve(free_, held_, apps_.size(), future_, steps).value;
  }
  // Where futures see no difference the tightest node is taken, and nothing is left out.
  auto chosen = fallback;
  auto most = sums[static_cast<std::size_t>(std::ranges::find(nodes, fallback) - nodes.begin())];
  for (auto at = std::size_t{0}; at < sums.size(); ++at)
    if (sums[at] > most + 1e-6 * (1 + most)) {
      most = sums[at];
      chosen = at < nodes.size() ? nodes[at] : -1;
    }
  return chosen;
}

std::int32_t window_foresight::place(const window_request& x) {
  remember(x);
  left_ -= left_ > 0 ? 1 : 0;
  const auto nodes = candidates(x);
  if (nodes.empty())
    return -1;
  const auto chosen = options_.futures == 0 ? tightest(nodes) : best(nodes, x);
  if (chosen >= 0)
    take(static_cast<std::size_t>(chosen), x);
  return chosen;
}

window_choices place_one_by_one(window_foresight& by, const window& x) {
  by.begin(x.nodes, x.requests.size());
  auto where = window_choices{};
  for (const auto& r : x.requests)
    where.push_back(by.place(r));
  return where;
}

} // namespace novacron::scheduler
