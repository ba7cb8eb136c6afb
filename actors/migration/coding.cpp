#include "actors/migration/coding.hpp"

#include <algorithm>

namespace novacron::migration {

std::string_view name(block_coding x) {
  switch (x) {
    case block_coding::raw: return "none";
    case block_coding::lz4: return "lz4";
    case block_coding::zstd: return "zstd";
  }
  return "unknown";
}

std::optional<block_coding> read_coding(std::string_view text) {
  for (const auto x : {block_coding::raw, block_coding::lz4, block_coding::zstd})
    if (text == name(x))
      return x;
  return {};
}

double throughput(const coding_cost& cost, const coding_budget& budget) {
  return std::min(
      {cost.encode_rate * budget.source_cores, budget.link_rate * cost.ratio, cost.decode_rate * budget.target_cores});
}

const coding_cost& choose(std::span<const coding_cost> costs, const coding_budget& budget) {
  return *std::ranges::max_element(costs, {}, [&](const auto& x) { return throughput(x, budget); });
}

// A new rate counts a quarter: four acknowledgements later it is what is believed.
void rate_governor::acknowledge(std::uint64_t bytes, double seconds) {
  if (seconds <= 0)
    return;
  const auto now = static_cast<double>(bytes) / seconds;
  rate_ = rate_ == 0 ? now : rate_ + (now - rate_) / 4;
}

std::uint64_t rate_governor::window(double latency) const {
  const auto believed = rate_max_ > 0 && (rate_ == 0 || rate_ > rate_max_) ? rate_max_ : rate_;
  if (believed == 0)
    return window_first;
  return std::max(window_min, static_cast<std::uint64_t>(believed * (patience_ + latency)));
}

} // namespace novacron::migration
