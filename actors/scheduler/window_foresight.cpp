#include "actors/scheduler/window_foresight.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace novacron::scheduler {
namespace {

/// Looks at requests and nodes per decision, in all futures and choices: some 0.03 s.
constexpr auto looks_max = std::size_t{2'000'000};
/// Partial placements per future. A dozen requests need a few hundred on average.
constexpr auto steps_max = std::uint64_t{2000};
/// As if so many requests of a kind not seen yet had come already. Measured: better than none and than 10.
constexpr auto unseen = std::size_t{5};
/// What it is worth that a choice is among the best of a future, in parts of what a request is worth on average. The
/// mean alone lets few futures in which much is at stake decide. Measured: a tenth to a third place as much as without,
/// and 1 % more of the decisions that matter stay the best; twice that places less.
constexpr auto vote = 0.18;

/// After so many futures each it is looked at which choices are still in question.
constexpr auto heat = std::size_t{60};
/// Chosen: a choice is given up that is behind by so many standard errors.
constexpr auto behind_max = 3.5;

/// Whether two sums are the same, in whatever order their parts were added.
bool same(double one, double two) {
  return std::abs(one - two) <= 1e-6 * (1 + std::abs(one));
}

/// Choices side by side on the same futures; those that are clearly behind drop out.
class race {
public:
  explicit race(std::size_t choices) : sums_(choices), alive_(choices, true), left_{choices} {}

  bool open() const { return left_ > 1; }

  template <class Outcome>
  void run(Outcome&& outcome, double bonus) {
    auto& row = rows_.emplace_back(sums_.size());
    auto most = -std::numeric_limits<double>::infinity();
    for (auto at = std::size_t{0}; at < row.size(); ++at)
      if (alive_[at])
        most = std::max(most, row[at] = outcome(at));
    for (auto at = std::size_t{0}; at < row.size(); ++at)
      if (alive_[at])
        sums_[at] += row[at] += same(row[at], most) ? bonus : 0;
  }

  /// The first of those that did best.
  std::size_t first() const {
    auto best = std::size_t{0};
    while (!alive_[best])
      ++best;
    for (auto at = best + 1; at < sums_.size(); ++at)
      if (alive_[at] && sums_[at] > sums_[best] + 1e-6 * (1 + sums_[best]))
        best = at;
    return best;
  }

  void drop_hopeless() {
    const auto best = first();
    for (auto at = std::size_t{0}; at < sums_.size(); ++at)
      if (alive_[at] && at != best && behind(at, best)) {
        alive_[at] = false;
        --left_;
      }
  }

private:
  bool behind(std::size_t at, std::size_t best) const {
    const auto runs = static_cast<double>(rows_.size());
    const auto mean = (sums_[best] - sums_[at]) / runs;
    auto squares = 0.0;
    for (const auto& row : rows_)
      squares += (row[best] - row[at] - mean) * (row[best] - row[at] - mean);
    return mean > 0 && mean * runs >= behind_max * std::sqrt(squares);
  }

  std::vector<std::vector<double>> rows_;
  std::vector<double> sums_;
  std::vector<char> alive_;
  std::size_t left_ = 0;
};

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
  worth_ += x.value;
  if (past_.size() < options_.memory) {
    past_.push_back(x);
    return;
  }
  worth_ -= past_[oldest_].value;
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

/// One of those that came, or one put together from several: as likely as it is that little is known yet.
window_request window_foresight::draw_one() {
  const auto any = [&]() -> const window_request& { return past_[chance_() % past_.size()]; };
  auto x = any();
  if (chance_() % (past_.size() + unseen) < unseen) {
    for (auto d = std::size_t{0}; d < x.need.size(); ++d)
      x.need[d] = any().need[d];
    x.value = any().value;
  }
  return x;
}

void window_foresight::draw() {
  future_.clear();
  for (auto i = std::size_t{0}; i < left_; ++i)
    future_.push_back(draw_one());
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

/// What is placed of the request and of the future, when the request goes there, or nowhere.
double window_foresight::outcome(std::int32_t node, const window_request& x, std::uint64_t steps) {
  const auto rest = [&] { return search_.solve(free_, held_, apps_.size(), future_, steps).value; };
  if (node < 0)
    return rest();
  const auto at = static_cast<std::size_t>(node);
  const auto before = free_[at];
  for (auto d = std::size_t{0}; d < before.size(); ++d)
    free_[at][d] -= x.need[d];
  ++held_[at * apps_.size()];
  const auto value = x.value + rest();
  --held_[at * apps_.size()];
  free_[at] = before;
  return value;
}

std::int32_t window_foresight::best(const std::vector<std::int32_t>& nodes, const window_request& x) {
  if (left_ == 0)
    return tightest(nodes);
  const auto looks = nodes.size() * left_ * std::max<std::size_t>(1, free_.size());
  const auto futures = std::clamp<std::size_t>(looks_max / looks, 4, options_.futures);
  const auto steps = std::clamp<std::uint64_t>(looks_max / looks / 4, 2, steps_max);
  const auto bonus = vote * worth_ / static_cast<double>(past_.size());
  // Where futures see no difference the first is taken: the tightest node, and nothing is left out.
  auto choices = nodes;
  std::ranges::iter_swap(choices.begin(), std::ranges::find(choices, tightest(nodes)));
  choices.push_back(-1);
  auto field = race{choices.size()};
  for (auto i = std::size_t{1}; i <= futures && field.open(); ++i) {
    draw();
    lay_held(x);
    field.run([&](std::size_t at) { return outcome(choices[at], x, steps); }, bonus);
    if (i % heat == 0)
      field.drop_hopeless();
  }
  return choices[field.first()];
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
