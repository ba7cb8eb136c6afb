#include "actors/scheduler/quota.hpp"

#include <algorithm>
#include <utility>

namespace novacron::scheduler {

quotas::amounts quotas::by_name(const amount& x) {
  auto found = amounts{{"cpu", x.cpu_milli}, {"memory", x.memory_bytes}, {"disk", x.disk_bytes}, {"gpu", x.gpu_milli}};
  for (const auto& [name, count] : x.extra)
    found[name] += count;
  return found;
}

void quotas::allow(const std::string& tenant, std::optional<allowance> what) {
  if (what)
    allowances_[tenant] = std::move(*what);
  else
    allowances_.erase(tenant);
}

void quotas::set_capacity(const amount& all) {
  capacity_ = by_name(all);
}

std::string quotas::exceeded(const std::string& tenant, const amount& need) const {
  const auto found = allowances_.find(tenant);
  if (found == allowances_.end())
    return {};
  for (const auto& [name, count] : by_name(need)) {
    const auto limit = found->second.limits.find(name);
    // What is above the limit since that was lowered stays; only more of it is refused.
    if (limit != found->second.limits.end() && count > 0 && used(tenant, name) + count > limit->second)
      return name;
  }
  return {};
}

void quotas::account(const std::string& tenant, const amount& need, int sign) {
  auto& used = used_[tenant];
  auto any = false;
  for (const auto& [name, count] : by_name(need))
    used[name] += sign * count;
  for (const auto& [name, count] : used)
    any = any || count != 0;
  if (!any)
    used_.erase(tenant);
}

double quotas::share(const std::string& tenant) const {
  const auto found = used_.find(tenant);
  if (found == used_.end())
    return 0;
  auto greatest = 0.0;
  for (const auto& [name, count] : found->second)
    if (const auto all = capacity_.find(name); all != capacity_.end() && all->second > 0)
      greatest = std::max(greatest, static_cast<double>(count) / static_cast<double>(all->second));
  const auto known = allowances_.find(tenant);
  const auto weight = known == allowances_.end() ? 1.0 : known->second.weight;
  return greatest / std::max(weight, 1e-9);
}

std::optional<std::string> quotas::next(const std::vector<std::string>& waiting) const {
  auto best = std::optional<std::string>{};
  auto best_share = 0.0;
  for (const auto& tenant : waiting) {
    const auto its = share(tenant);
    if (!best || its < best_share || (its == best_share && tenant < *best)) {
      best = tenant;
      best_share = its;
    }
  }
  return best;
}

std::int64_t quotas::used(const std::string& tenant, const std::string& resource) const {
  const auto found = used_.find(tenant);
  if (found == used_.end())
    return 0;
  const auto count = found->second.find(resource);
  return count == found->second.end() ? 0 : count->second;
}

} // namespace novacron::scheduler
