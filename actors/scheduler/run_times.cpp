#include "actors/scheduler/run_times.hpp"

#include <algorithm>
#include <cstddef>

namespace novacron::scheduler {
namespace {

/// Chosen: so many jobs of a kind are remembered, so many kinds; and fewer say nothing.
constexpr auto samples_max = std::size_t{32};
constexpr auto samples_min = std::size_t{3};
constexpr auto kinds_max = std::size_t{4096};

/// "nightly-2026-11-27" and "nightly-3" are runs of "nightly".
std::string stem_of(const std::string& name) {
  const auto last = name.find_last_not_of("0123456789-");
  return last == name.npos ? name : name.substr(0, last + 1);
}

} // namespace

std::vector<std::string> run_times::kinds_of(const wire::WorkloadSpec& spec) {
  // No part holds a line break: the image is the last.
  return {"name\n" + spec.tenant() + '\n' + stem_of(spec.name()),
          "image\n" + spec.tenant() + '\n' + spec.program().image(), "all"};
}

void run_times::note(const wire::WorkloadSpec& spec, std::int64_t ran) {
  if (ran < 0)
    return;
  for (const auto& kind : kinds_of(spec)) {
    const auto [found, fresh] = kinds_.try_emplace(kind);
    auto& x = found->second;
    if (fresh)
      x.used = order_.insert(order_.end(), kind);
    else
      order_.splice(order_.end(), order_, x.used);
    x.ran.push_back(ran);
    if (x.ran.size() > samples_max)
      x.ran.pop_front();
  }
  while (kinds_.size() > kinds_max) {
    kinds_.erase(order_.front());
    order_.pop_front();
  }
}

std::optional<std::int64_t> run_times::left(const wire::WorkloadSpec& spec, std::int64_t so_far) const {
  so_far = std::max<std::int64_t>(so_far, 0);
  for (const auto& kind : kinds_of(spec)) {
    const auto found = kinds_.find(kind);
    if (found == kinds_.end() || found->second.ran.size() < samples_min)
      continue;
    auto longer = std::vector<std::int64_t>{};
    for (const auto ran : found->second.ran)
      if (ran > so_far)
        longer.push_back(ran);
    if (longer.empty())
      return so_far;
    const auto middle = longer.begin() + static_cast<std::ptrdiff_t>(longer.size() / 2);
    std::ranges::nth_element(longer, middle);
    return *middle - so_far;
  }
  return std::nullopt;
}

} // namespace novacron::scheduler
