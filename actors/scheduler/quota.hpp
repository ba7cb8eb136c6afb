#pragma once

/// Keeps tenants within their limits, and says whose turn it is by the share of the cluster that each has.

#include "actors/scheduler/placement.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// What a tenant may have at most of each resource, and how much of the cluster is meant for it beside the others.
struct allowance {
  /// By resource: "cpu" in thousandths, "memory" and "disk" in bytes, "gpu" in thousandths, or an extensible one.
  /// What is not named has no limit.
  std::map<std::string, std::int64_t> limits;
  double weight = 1;
};

class quotas {
public:
  /// No allowance means no limit and weight 1.
  void allow(const std::string& tenant, std::optional<allowance> what);
  /// What all nodes have together: shares are shares of this.
  void set_capacity(const amount& all);

  /// Why the tenant may not have `need` on top of what it has: the resource that it would exceed; empty when it may.
  std::string exceeded(const std::string& tenant, const amount& need) const;
  void take(const std::string& tenant, const amount& need) { account(tenant, need, 1); }
  void release(const std::string& tenant, const amount& need) { account(tenant, need, -1); }

  /// The greatest share that the tenant has of any resource, over its weight (dominant resource fairness).
  double share(const std::string& tenant) const;
  /// Of tenants that wait, the one with the smallest share; the first name among equals.
  std::optional<std::string> next(const std::vector<std::string>& waiting) const;
  std::int64_t used(const std::string& tenant, const std::string& resource) const;

private:
  using amounts = std::map<std::string, std::int64_t>;
  static amounts by_name(const amount& x);
  void account(const std::string& tenant, const amount& need, int sign);

  std::map<std::string, allowance> allowances_;
  std::map<std::string, amounts> used_;
  amounts capacity_;
};

} // namespace novacron::scheduler
