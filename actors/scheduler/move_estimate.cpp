#include "actors/scheduler/move_estimate.hpp"

#include <algorithm>

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
    return x;
  }
  auto seconds = std::vector<double>{};
  auto parts = std::vector<double>{};
  auto still = std::vector<double>{};
  for (const auto* each : known) {
    const auto then = static_cast<double>(each->expected().memory_bytes());
    // A smaller one does not take less: most of what it takes is its begin.
    seconds.push_back(seconds_of(*each) * std::max(1.0, memory / then));
    parts.push_back(static_cast<double>(each->bytes()) / then);
    still.push_back(each->still_seconds());
  }
  x.set_seconds(median(std::move(seconds)));
  x.set_bytes(static_cast<std::uint64_t>(memory * median(std::move(parts))));
  x.set_still_seconds(median(std::move(still)));
  return x;
}

} // namespace novacron::scheduler
