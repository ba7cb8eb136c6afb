#include "actors/scheduler/placement.hpp"

#include <algorithm>
#include <cmath>

namespace novacron::scheduler {
namespace {

/// Chosen: rows are dropped when a cluster has seen more kinds of requests than this; each takes 9 bytes per node.
constexpr auto rows_max = std::size_t{512};
/// Chosen: so many kinds are counted at most; the rare ones that come later are not expected.
constexpr auto seen_max = std::size_t{4096};
/// The first sample that is worth learning from; learned anew whenever it has doubled.
constexpr auto sample_min = std::uint64_t{64};

/// Equal losses must compare equal whatever the order of additions was: they are counted in steps of four millionths,
/// which a float still tells apart beside every other feature.
float in_steps(double x) {
  constexpr auto step = 1.0 / (1 << 18);
  return static_cast<float>(std::round(x / step) * step);
}

} // namespace

void cluster::expect(std::vector<expected_request> mix) {
  mix_ = fragmentation{std::move(mix)};
  expects_ = true;
  losses_.clear();
  value_version_.clear();
}

void cluster::count_seen(const amount& need) {
  if (expects_)
    return;
  ++seen_count_;
  const auto kind = need.gpu_milli > 0
                        ? std::pair{kind_of_need{need.cpu_milli, need.memory_bytes, need.gpu_milli}, need.gpu_model}
                        : std::pair{kind_of_need{}, std::string{}};
  if (const auto found = seen_.find(kind); found != seen_.end())
    ++found->second;
  else if (seen_.size() < seen_max)
    seen_.emplace(kind, 1);
}

void cluster::learn_mix() const {
  if (expects_ || seen_count_ < sample_min || seen_count_ < 2 * learned_count_)
    return;
  learned_count_ = seen_count_;
  auto mix = std::vector<expected_request>{};
  for (const auto& [kind, count] : seen_) {
    const auto& [cpu, memory, gpu] = kind.first;
    mix.push_back({cpu, memory, gpu, kind.second, count});
  }
  mix_ = fragmentation{std::move(mix)};
  losses_.clear();
  value_version_.clear();
}

const cluster::loss_row& cluster::losses(const amount& need) const {
  learn_mix();
  if (losses_.size() > rows_max)
    losses_.clear();
  value_.resize(shapes_.size());
  // No node has version 0 once it was filled: that marks what was never computed.
  value_version_.resize(shapes_.size(), 0);
  auto& row = losses_[{need.cpu_milli, need.memory_bytes, need.gpu_milli}];
  row.change.resize(shapes_.size());
  row.device.resize(shapes_.size());
  row.version.resize(shapes_.size(), 0);
  for (auto at = slot{0}; at < shapes_.size(); ++at)
    if (row.version[at] != version_[at])
      refresh_loss(row, need, at);
  return row;
}

void cluster::refresh_loss(loss_row& row, const amount& need, slot at) const {
  row.version[at] = version_[at];
  row.change[at] = 0;
  row.device[at] = 0;
  auto devices = gpu_free_[at];
  const auto model = mix_.model_bit(shapes_[at].capacity.gpu_model);
  if (value_version_[at] != version_[at]) {
    value_[at] = mix_.value(cpu_free_[at], memory_free_[at], devices, model);
    value_version_[at] = version_[at];
  }
  const auto cpu = cpu_free_[at] - need.cpu_milli;
  const auto memory = memory_free_[at] - need.memory_bytes;
  if (cpu < 0 || memory < 0)
    return;
  const auto change = [&] { return in_steps(mix_.value(cpu, memory, devices, model) - value_[at]); };
  if (need.gpu_milli <= 0 || need.gpu_milli >= 1000) {
    auto wanted = need.gpu_milli / 1000;
    for (auto& free : devices)
      if (wanted > 0 && free >= 1000) {
        free -= 1000;
        --wanted;
      }
    if (wanted == 0)
      row.change[at] = change();
    return;
  }
  auto best = devices.size();
  for (auto i = std::size_t{0}; i < devices.size() && i <= 255; ++i) {
    const auto free = devices[i];
    // Devices that are equally free are alike: the first stands for all.
    const auto alike = std::find(devices.begin(), devices.begin() + static_cast<std::ptrdiff_t>(i), free);
    if (free < need.gpu_milli || alike != devices.begin() + static_cast<std::ptrdiff_t>(i))
      continue;
    devices[i] -= need.gpu_milli;
    const auto won = change();
    devices[i] = free;
    if (best == devices.size() || won > row.change[at] || (won == row.change[at] && free < devices[best])) {
      row.change[at] = won;
      row.device[at] = static_cast<std::uint8_t>(i);
      best = i;
    }
  }
}

} // namespace novacron::scheduler
