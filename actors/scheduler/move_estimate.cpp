#include "actors/scheduler/move_estimate.hpp"

#include <algorithm>
#include <cmath>

namespace novacron::scheduler {
namespace {

/// Chosen: what was long ago tells less about the network of now.
constexpr auto moves_max = std::size_t{16};
/// Measured: memory of guests in use became a third on the wire; a link of 1 Gbit/s carries so much, and to have a
/// machine wait for its guest takes so long.
constexpr auto usual_part = 0.35;
constexpr auto usual_rate = 110e6;
constexpr auto usual_begin = 2.0;
/// As long as a guest may stand still if nothing else was said.
constexpr auto usual_still = 0.03;

double median(std::vector<double> x) {
  const auto middle = x.begin() + static_cast<std::ptrdiff_t>(x.size() / 2);
  std::ranges::nth_element(x, middle);
  return *middle;
}

double seconds_of(const wire::Migration& x) {
  return static_cast<double>(x.ended_ms() - x.began_ms()) / 1000;
}

/// How long that move would have taken with so much memory. What it took beside its passes, as to have a machine wait
/// for the guest, does not depend on that; where its passes are not known, a smaller one is not expected to take less.
double seconds_with(const wire::Migration& x, double memory) {
  const auto more = memory / static_cast<double>(x.expected().memory_bytes());
  auto passes = 0.0;
  for (const auto& pass : x.course())
    passes += pass.seconds();
  if (passes <= 0)
    return seconds_of(x) * std::max(1.0, more);
  return std::max(0.0, seconds_of(x) - passes) + passes * more;
}

/// Nine of ten of those that spread like `seen` around `middle` lie within this factor of it.
double spread_of(const std::vector<double>& seen, double middle) {
  // Chosen: as if two moves had been seen before that differed by this (as logarithms).
  constexpr auto prior = 0.35;
  constexpr auto prior_count = 2.0;
  auto sum = prior_count * prior * prior;
  for (const auto x : seen)
    if (x > 0 && middle > 0)
      sum += std::log(x / middle) * std::log(x / middle);
  const auto count = static_cast<double>(seen.size());
  const auto freedom = prior_count + std::max(0.0, count - 1);
  // Of Student's distribution, the quantile at 0.95; this is within 2 % of it from two degrees of freedom on.
  const auto quantile = 1.645 + 1.52 / freedom + 2.05 / (freedom * freedom);
  return std::exp(quantile * std::sqrt(sum / freedom * (1 + 1 / std::max(0.5, count))));
}

std::vector<const wire::Migration*> made_before(const std::vector<wire::Migration>& all, const std::string& source,
                                                const std::string& target, bool any) {
  auto found = std::vector<const wire::Migration*>{};
  for (const auto& x : all)
    if (x.phase() == "moved" && x.expected().memory_bytes() > 0 && x.ended_ms() > x.began_ms() &&
        (any || (x.source() == source && x.target() == target)))
      found.push_back(&x);
  std::ranges::stable_sort(found, std::ranges::greater{}, [](const auto* x) { return x->ended_ms(); });
  if (found.size() > moves_max)
    found.resize(moves_max);
  return found;
}

void set_range(wire::MoveEstimate& x, const std::vector<double>& seen) {
  const auto factor = spread_of(seen, x.seconds());
  x.set_seconds_low(x.seconds() / factor);
  x.set_seconds_high(x.seconds() * factor);
}

} // namespace

wire::MoveEstimate estimate_move(std::uint64_t memory_bytes, const std::string& source, const std::string& target,
                                 const std::vector<wire::Migration>& before) {
  auto x = wire::MoveEstimate{};
  x.set_memory_bytes(memory_bytes);
  const auto memory = static_cast<double>(memory_bytes);
  auto known = made_before(before, source, target, false);
  if (known.empty())
    known = made_before(before, source, target, true);
  x.set_moves(static_cast<std::uint32_t>(known.size()));
  if (known.empty()) {
    x.set_bytes(static_cast<std::uint64_t>(memory * usual_part));
    x.set_seconds(usual_begin + memory * usual_part / usual_rate);
    x.set_still_seconds(usual_still);
    set_range(x, {});
    return x;
  }
  auto seconds = std::vector<double>{};
  auto parts = std::vector<double>{};
  auto still = std::vector<double>{};
  for (const auto* each : known) {
    const auto then = static_cast<double>(each->expected().memory_bytes());
    seconds.push_back(seconds_with(*each, memory));
    parts.push_back(static_cast<double>(each->bytes()) / then);
    still.push_back(each->still_seconds());
  }
  x.set_seconds(median(seconds));
  set_range(x, seconds);
  x.set_bytes(static_cast<std::uint64_t>(memory * median(std::move(parts))));
  x.set_still_seconds(median(std::move(still)));
  return x;
}

} // namespace novacron::scheduler
