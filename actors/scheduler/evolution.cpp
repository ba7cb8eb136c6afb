#include "actors/scheduler/evolution.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

namespace novacron::scheduler {
namespace {

/// What the method's authors recommend for so many axes.
struct rates {
  std::size_t candidates;
  std::vector<double> parts;
  double mass;
  double step_path, step_damping, path, one, many;

  explicit rates(std::size_t axes) : candidates{4 + static_cast<std::size_t>(3 * std::log(static_cast<double>(axes)))} {
    const auto n = static_cast<double>(axes);
    // One more, so that two processors have equally much to do.
    candidates += candidates % 2;
    auto sum = 0.0;
    for (auto i = std::size_t{0}; i < candidates / 2; ++i)
      sum +=
          parts.emplace_back(std::log(static_cast<double>(candidates + 1) / 2) - std::log(static_cast<double>(i + 1)));
    auto squares = 0.0;
    for (auto& x : parts) {
      x /= sum;
      squares += x * x;
    }
    mass = 1 / squares;
    step_path = (mass + 2) / (n + mass + 5);
    step_damping = 1 + step_path + 2 * std::max(0.0, std::sqrt((mass - 1) / (n + 1)) - 1);
    path = (4 + mass / n) / (n + 4 + 2 * mass / n);
    // Only the axes are learned, not how they go together, so it may be learned faster.
    const auto faster = (n + 2) / 3;
    one = std::min(1.0, faster * 2 / ((n + 1.3) * (n + 1.3) + mass));
    many = std::min(1 - one, faster * 2 * (mass - 2 + 1 / mass) / ((n + 2) * (n + 2) + mass));
  }
};

} // namespace

evolution::evolution(point start, point spans, std::uint64_t seed)
    : middle_{std::move(start)}, spans_{std::move(spans)}, variance_(middle_.size(), 1), path_(middle_.size(), 0),
      step_path_(middle_.size(), 0), chance_{seed} {}

/// Not std::normal_distribution: its numbers differ between libraries.
double evolution::normal() {
  constexpr auto unit = 1.0 / 9007199254740992.0;
  const auto a = (static_cast<double>(chance_() >> 11) + 1) * unit;
  const auto b = static_cast<double>(chance_() >> 11) * unit;
  return std::sqrt(-2 * std::log(a)) * std::cos(2 * std::numbers::pi * b);
}

std::vector<evolution::point> evolution::ask() {
  steps_.assign(rates{middle_.size()}.candidates, point(middle_.size()));
  auto candidates = std::vector<point>{};
  for (auto& step : steps_) {
    auto& at = candidates.emplace_back(middle_);
    for (auto i = std::size_t{0}; i < at.size(); ++i) {
      step[i] = std::sqrt(variance_[i]) * normal();
      at[i] += step_ * spans_[i] * step[i];
    }
  }
  return candidates;
}

void evolution::tell(std::span<const double> fitness) {
  const auto set = rates{middle_.size()};
  const auto worth = [&](std::size_t i) {
    return i < fitness.size() && std::isfinite(fitness[i]) ? fitness[i] : -std::numeric_limits<double>::infinity();
  };
  auto order = std::vector<std::size_t>(steps_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](auto a, auto b) { return worth(a) > worth(b); });
  ++generation_;
  const auto axes = static_cast<double>(middle_.size());
  auto length = 0.0;
  auto moves = point(middle_.size(), 0);
  for (auto i = std::size_t{0}; i < middle_.size(); ++i) {
    for (auto k = std::size_t{0}; k < set.parts.size(); ++k)
      moves[i] += set.parts[k] * steps_[order[k]][i];
    middle_[i] += step_ * spans_[i] * moves[i];
    step_path_[i] = (1 - set.step_path) * step_path_[i] +
                    std::sqrt(set.step_path * (2 - set.step_path) * set.mass) * moves[i] / std::sqrt(variance_[i]);
    length += step_path_[i] * step_path_[i];
  }
  const auto expected = std::sqrt(axes) * (1 - 1 / (4 * axes) + 1 / (21 * axes * axes));
  const auto settled = 1 - std::pow(1 - set.step_path, 2 * static_cast<double>(generation_));
  const auto stalled = std::sqrt(length / settled) > (1.4 + 2 / (axes + 1)) * expected;
  for (auto i = std::size_t{0}; i < middle_.size(); ++i) {
    path_[i] = (1 - set.path) * path_[i];
    if (!stalled)
      path_[i] += std::sqrt(set.path * (2 - set.path) * set.mass) * moves[i];
    auto spread = 0.0;
    for (auto k = std::size_t{0}; k < set.parts.size(); ++k)
      spread += set.parts[k] * steps_[order[k]][i] * steps_[order[k]][i];
    const auto lost = stalled ? set.one * set.path * (2 - set.path) * variance_[i] : 0;
    variance_[i] = std::max(1e-12, (1 - set.one - set.many) * variance_[i] + set.one * path_[i] * path_[i] + lost +
                                       set.many * spread);
  }
  step_ *= std::exp(std::min(1.0, set.step_path / set.step_damping * (std::sqrt(length) / expected - 1)));
}

double evolution::reach() const {
  auto sum = 0.0;
  for (const auto x : variance_)
    sum += std::sqrt(x);
  return middle_.empty() ? 0 : step_ * sum / static_cast<double>(middle_.size());
}

} // namespace novacron::scheduler
