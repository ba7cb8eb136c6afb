#pragma once

/// One round of the reconciler: the moment it happens in, and the operations it gathers.

#include "actors/scheduler/reconciler.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace novacron::scheduler {

struct reconciler::round {
  instant now;
  std::int64_t now_ms;
  std::vector<wire::LedgerOp> ops;
  std::size_t bytes = 0;
  std::size_t preemptions = 0;
  /// Workloads of which an instance was moved aside: what else is to be done with them waits for the next round.
  std::set<std::string> shifted = {};

  bool wrote(const std::string& key) const { return keys_.contains(key); }

  wire::LedgerOp& add(std::string key, std::uint64_t revision) {
    keys_.insert(key);
    auto& op = ops.emplace_back();
    op.set_key(std::move(key));
    op.set_conditional(true);
    op.set_revision(revision);
    return op;
  }
  template <class Record>
  void put(std::string key, const Record& value, std::uint64_t revision) {
    auto& op = add(std::move(key), revision);
    op.set_value(value.SerializeAsString());
    bytes += op.value().size() + op.key().size() + 16;
  }
  bool full(const reconcile_config& settings) const {
    return ops.size() >= settings.ops_max || bytes >= settings.bytes_max;
  }

private:
  std::unordered_set<std::string> keys_;
};

/// The room that is made for an instance. No instance is called so.
inline std::string room_key(const std::string& instance) {
  return "room/" + instance;
}

} // namespace novacron::scheduler
