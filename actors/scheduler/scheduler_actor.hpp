#pragma once

/// Starts the actor that takes orders and keeps the fabric as it is desired, on the node whose ledger leads.

#include "actors/host/metrics.hpp"
#include "actors/scheduler/reconciler.hpp"
#include "messages/ledger.hpp"
#include "messages/scheduler.hpp"

#include <functional>
#include <memory>

namespace novacron {

struct scheduler_config {
  scheduler::reconcile_config reconcile;
  /// The wall clock at the spawn, in milliseconds since 1970. From then on the actor's own clock counts.
  std::int64_t wall_ms = 0;
  /// How long the ledger and an agent may take to answer before they are asked again.
  duration answer_max = std::chrono::seconds{5};
  /// The first and the longest delay before something unanswered is tried again.
  duration retry_delay = std::chrono::milliseconds{100};
  duration retry_delay_max = std::chrono::seconds{5};
  /// A larger assignment is sent in parts of about this size: half of what a message may have.
  std::size_t assign_bytes_max = message_bytes_max / 2;
  /// How many nodes are waited for at a time: what an answer costs grows with them.
  std::size_t assigns_max = 1024;
  /// Orders that may wait while a new leader finds its feet, and readers that may wait for events.
  std::size_t waiting_max = 1024;
  /// Where to count; null counts nothing.
  std::shared_ptr<host::metrics> numbers = nullptr;
};

/// The agent of a node, null while it cannot be reached.
using agent_lookup = std::function<caf::actor(const std::string& node)>;

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config settings, ledger_actor ledger,
                                agent_lookup agent_of, std::uint64_t seed);

} // namespace novacron
