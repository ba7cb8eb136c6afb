#pragma once

/// One round of the reconciler: the moment it happens in, and the operations it gathers.

#include "actors/scheduler/reconciler.hpp"

namespace novacron::scheduler {

struct reconciler::round {
  instant now;
  std::int64_t now_ms;
  std::vector<wire::LedgerOp> ops;

  wire::LedgerOp& add(std::string key, std::uint64_t revision) {
    auto& op = ops.emplace_back();
    op.set_key(std::move(key));
    op.set_conditional(true);
    op.set_revision(revision);
    return op;
  }
  template <class Record>
  void put(std::string key, const Record& value, std::uint64_t revision) {
    add(std::move(key), revision).set_value(value.SerializeAsString());
  }
};

} // namespace novacron::scheduler
