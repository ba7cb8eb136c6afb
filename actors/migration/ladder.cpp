#include "actors/migration/ladder.hpp"

#include <algorithm>

namespace novacron::migration {
namespace {

/// Bytes of pages per second of one core, and ratio, over the pages that go into blocks. Measured on memory of the
/// sample guest; what is measured in the migration itself moves all of them.
constexpr auto believed = std::array<coding_cost, coding_steps.size()>{{{block_coding::raw, 2.0e9, 4.0e9, 1.0},
                                                                        {block_coding::lz4, 6.0e8, 2.5e9, 2.65},
                                                                        {block_coding::zstd, 3.6e8, 1.0e9, 3.3},
                                                                        {block_coding::zstd, 2.2e8, 1.0e9, 3.45},
                                                                        {block_coding::zstd, 1.1e8, 1.0e9, 3.55},
                                                                        {block_coding::zstd, 7.5e7, 1.0e9, 3.6},
                                                                        {block_coding::zstd, 5.5e7, 1.0e9, 3.65}}};
/// What a new batch counts: some twenty of them together, or one that was kept from its processor would say it all.
constexpr auto new_share = 0.05;

/// Bytes are worth something too: to others on the link, and when it is slower than it was measured.
constexpr auto enough_share = 0.95;

double blended(double before, double now) {
  return before + (now - before) * new_share;
}

} // namespace

ladder::ladder(std::optional<block_coding> fixed) {
  if (!fixed)
    return;
  const auto has = [&](const coding_step& x) { return x.coding == *fixed; };
  low_ = static_cast<std::size_t>(std::ranges::find_if(coding_steps, has) - coding_steps.begin());
  high_ = low_;
  while (high_ + 1 < coding_steps.size() && has(coding_steps[high_ + 1]))
    ++high_;
  step_ = low_;
}

void ladder::learn(const batch_facts& x) {
  if (x.block_pages > 0 && x.encode_seconds > 0) {
    seconds_believed_ = blended(seconds_believed_, static_cast<double>(x.block_pages) / believed[step_].encode_rate);
    seconds_taken_ = blended(seconds_taken_, x.encode_seconds);
    speed_ = seconds_believed_ / seconds_taken_;
    // What does not shrink says the same of every step but raw.
    if (step_ > 0 && x.block_bytes > 0)
      density_ = blended(density_, static_cast<double>(x.block_pages) / static_cast<double>(x.block_bytes) /
                                       believed[step_].ratio);
  }
  link_ = x.link_rate;
  choose_step();
}

std::array<coding_cost, coding_steps.size()> ladder::costs() const {
  auto now = believed;
  for (auto& x : now) {
    x.encode_rate *= speed_;
    x.decode_rate *= speed_;
    x.ratio = x.coding == block_coding::raw ? 1 : std::max(1.0, x.ratio * density_);
  }
  return now;
}

// Of those that let nearly as much through as the best, the one that takes the fewest bytes.
void ladder::choose_step() {
  if (link_ == 0)
    return;
  const auto now = costs();
  const auto budget = coding_budget{.link_rate = link_};
  auto best = 0.0;
  for (auto i = low_; i <= high_; ++i)
    best = std::max(best, throughput(now[i], budget));
  for (step_ = high_; step_ > low_ && throughput(now[step_], budget) < enough_share * best; --step_) {
  }
}

} // namespace novacron::migration
