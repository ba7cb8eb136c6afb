#pragma once

/// One round of the reconciler: the moment it happens in, and the operations it gathers.

#include "actors/scheduler/reconciler.hpp"

namespace novacron::scheduler {

struct reconciler::round {
  instant now;
  std::int64_t now_ms;
  std::vector<wire::LedgerOp> ops;
  std::size_t bytes = 0;

  wire::LedgerOp& add(std::string key, std::uint64_t revision) {
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
};

} // namespace novacron::scheduler
