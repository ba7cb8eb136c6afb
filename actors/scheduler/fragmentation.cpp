#include "actors/scheduler/fragmentation.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>

namespace novacron::scheduler {
namespace {

constexpr auto kinds_max = std::size_t{256};
constexpr auto models_max = std::size_t{63};
constexpr auto anything = ~std::uint64_t{0};

std::vector<std::string> split(std::string_view text) {
  auto parts = std::vector<std::string>{};
  while (!text.empty()) {
    const auto bar = text.find('|');
    parts.emplace_back(text.substr(0, bar));
    text = bar == text.npos ? std::string_view{} : text.substr(bar + 1);
  }
  return parts;
}

} // namespace

fragmentation::fragmentation(std::vector<expected_request> mix) {
  auto cpu = 0.0;
  auto gpus = 0.0;
  auto shares = std::map<std::int64_t, double>{};
  auto total = 0.0;
  for (const auto& x : mix)
    total += x.count;
  std::erase_if(mix, [](const auto& x) { return x.gpu_milli <= 0 || x.count <= 0; });
  for (const auto& x : mix) {
    const auto devices = x.count * static_cast<double>(x.gpu_milli) / 1000;
    cpu += x.count * static_cast<double>(x.cpu_milli) / 1000;
    gpus += devices;
    shares[std::min<std::int64_t>(x.gpu_milli, 1000)] += devices;
  }
  auto demand = std::vector<share_demand>{};
  for (const auto& [milli, amount] : shares)
    demand.push_back({milli, amount});
  worth_ = worth_of_shares(demand);
  cores_per_gpu_ = gpus > 0 ? cpu / gpus : 0;
  if (mix.size() > kinds_max) {
    std::ranges::stable_sort(mix, std::greater{}, &expected_request::count);
    mix.resize(kinds_max);
  }
  for (const auto& x : mix) {
    const auto wanted = appetite{x.gpu_milli < 1000 ? x.gpu_milli : 0, x.gpu_milli < 1000 ? 0 : x.gpu_milli / 1000};
    const auto same = [&](const appetite& y) { return y.share == wanted.share && y.whole == wanted.whole; };
    const auto found = std::ranges::find_if(appetites_, same);
    appetite_.push_back(static_cast<std::uint32_t>(found - appetites_.begin()));
    if (found == appetites_.end())
      appetites_.push_back(wanted);
    auto allowed = x.gpu_model.empty() ? anything : std::uint64_t{0};
    for (const auto& model : split(x.gpu_model))
      if (models_.contains(model) || models_.size() < models_max)
        allowed |= models_.try_emplace(model, std::uint64_t{1} << models_.size()).first->second;
    allowed_.push_back(allowed);
    cpu_.push_back(static_cast<float>(x.cpu_milli));
    memory_.push_back(static_cast<float>(x.memory_bytes));
    weight_.push_back(static_cast<float>(x.count / total / 1000));
  }
  const auto full = (mix.size() + lanes - 1) / lanes * lanes;
  cpu_.resize(full, std::numeric_limits<float>::infinity());
  memory_.resize(full, std::numeric_limits<float>::infinity());
  weight_.resize(full);
  allowed_.resize(full);
  appetite_.resize(full);
}

std::uint64_t fragmentation::model_bit(std::string_view model) const {
  const auto found = models_.find(model);
  return found == models_.end() ? std::uint64_t{1} << models_max : found->second;
}

free_parts fragmentation::parts(std::int64_t cpu_milli, std::int64_t memory_bytes, std::span<const std::int64_t> gpus,
                                std::uint64_t model) const {
  auto free = std::int64_t{0};
  auto whole = std::int64_t{0};
  auto worth = 0.0;
  for (const auto device : gpus) {
    free += device;
    whole += device >= 1000;
    worth += static_cast<double>(worth_[static_cast<std::size_t>(std::clamp<std::int64_t>(device, 0, 1000))]);
  }
  auto usable = std::array<float, kinds_max>{};
  for (auto i = std::size_t{0}; i < appetites_.size(); ++i) {
    const auto& x = appetites_[i];
    auto sum = x.whole > 0 && whole >= x.whole ? whole * 1000 : 0;
    if (x.whole == 0)
      for (const auto device : gpus)
        sum += device >= x.share ? device : 0;
    usable[i] = static_cast<float>(sum);
  }
  // In lanes, in a fixed order: every compiler and every processor finds the same sum.
  const auto cpu = static_cast<float>(cpu_milli);
  const auto memory = static_cast<float>(memory_bytes);
  auto sums = std::array<float, lanes>{};
  for (auto i = std::size_t{0}; i < weight_.size(); i += lanes)
    for (auto lane = std::size_t{0}; lane < lanes; ++lane) {
      const auto at = i + lane;
      const auto fits = (cpu_[at] <= cpu) & (memory_[at] <= memory) & ((allowed_[at] & model) != 0);
      sums[lane] += fits ? weight_[at] * usable[appetite_[at]] : 0.0f;
    }
  auto found = free_parts{.shares = worth};
  for (const auto sum : sums)
    found.usable += static_cast<double>(sum);
  if (cores_per_gpu_ > 0) {
    const auto devices = static_cast<double>(free) / 1000;
    const auto served = static_cast<double>(cpu_milli) / 1000 / cores_per_gpu_;
    found.starved = std::max(0.0, devices - served);
    found.idle = std::max(0.0, served - devices);
  }
  return found;
}

} // namespace novacron::scheduler
