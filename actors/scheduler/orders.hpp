#pragma once

/// What an order of a person means for the ledger.

#include "actors/scheduler/truth.hpp"
#include "messages/fault.hpp"
#include "messages/wire/agent.pb.h"
#include "messages/wire/function.pb.h"

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// What to write, and what to answer once it is written. Nothing to write: it is true already.
struct order {
  std::vector<wire::LedgerOp> ops;
  /// "created", "changed" or "unchanged".
  std::string effect = "unchanged";
  std::uint64_t generation = 0;
  /// Set when the order cannot be followed, with the reason in words.
  std::optional<fault> refused;
  std::string reason;
  /// Of a move that was only asked about.
  std::optional<wire::Migration> plan;
};

/// An order that is not followed, with the reason in words.
order refuse(fault kind, std::string reason);
/// Has `x` write a record, if it is then still the one of `now`.
void put(order& x, const truth& now, const std::string& key, const google::protobuf::MessageLite& value);

order order_submit(const truth& now, const wire::Submit& asked, std::int64_t now_ms);
order order_stop(const truth& now, const wire::StopWorkload& x);
/// That many instances of a function; no new generation.
order order_scale(const truth& now, const wire::ScaleFunction& x);
order order_drain(const truth& now, const wire::DrainNode& x, std::int64_t now_ms);
order order_taint(const truth& now, const wire::TaintNode& x);
order order_quota(const truth& now, const wire::SetQuota& x);
order order_reservation(const truth& now, const wire::SetReservation& x, std::int64_t now_ms);
order order_policy(const truth& now, const wire::SetPolicy& x);
/// How often instances are moved to better places from now on.
order order_rebalance(const truth& now, const wire::Rebalance& x);
/// Ends a move: the instance goes on where it is, unless it is decided otherwise already.
order order_cancel(const truth& now, const wire::CancelMigration& x, std::int64_t now_ms);
/// What the source of a move asks to be decided; the effect says how it is: "moved" or "kept".
order order_settle(const truth& now, const wire::SettleMove& x, std::int64_t now_ms);
order order_forget(const truth& now, const wire::ForgetNode& x, bool present);

/// An assignment as messages of at most about `bytes_max` each, to be sent one after the other.
std::vector<wire::Assign> parts_of(wire::Assign whole, std::size_t bytes_max);

} // namespace novacron::scheduler
