#pragma once

/// What the scheduler's actor keeps, for the files that it is made of.

#include "actors/scheduler/event_ring.hpp"
#include "actors/scheduler/numbers.hpp"
#include "actors/scheduler/outbox.hpp"
#include "actors/scheduler/scheduler_actor.hpp"

#include <caf/all.hpp>

#include <deque>
#include <random>

namespace novacron::scheduler {

/// Reminders of the scheduler to itself. They never leave the process.
struct look {};
struct commit_again {};
struct watch_again {};
struct assign_again {
  std::string node;
};

} // namespace novacron::scheduler

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::look)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::commit_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::watch_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::scheduler::assign_again)

namespace novacron::scheduler {

using scheduler_extended = scheduler_actor::extend<caf::reacts_to<look>, caf::reacts_to<commit_again>,
                                                   caf::reacts_to<watch_again>, caf::reacts_to<assign_again>>;

struct event_reader {
  caf::typed_response_promise<wire::Events> promise;
  std::uint64_t after = 0;
  std::uint32_t limit = 0;
  instant until;
};

struct scheduler_state {
  static inline const char* name = "scheduler";
  scheduler_config settings;
  ledger_actor ledger;
  agent_lookup agent_of;
  std::mt19937_64 chance;
  std::optional<reconciler> book;
  event_ring events;
  instant start;

  // Leadership.
  std::string leader;
  std::uint64_t term = 0;
  bool leads = false;
  /// It leads and has read all that was committed before.
  bool ready = false;
  std::uint64_t reigns = 0;
  std::deque<std::function<void(const caf::error&)>> deferred;

  // The one change of the ledger that is under way.
  std::string client;
  std::uint64_t sequence = 0;
  std::optional<wire::LedgerCommand> command;
  std::uint64_t awaited = 0;
  unsigned attempts = 0;

  outbox deliveries;
  std::multimap<std::uint64_t, std::function<void()>> until_index;
  std::map<std::pair<std::string, std::uint64_t>, wire::Submitted> answered;
  std::deque<std::pair<std::string, std::uint64_t>> answered_order;
  std::uint64_t orders = 0;
  std::vector<event_reader> readers;
  std::optional<instant> armed;
  numbers seen;
};

using scheduler_self = scheduler_extended::stateful_pointer<scheduler_state>;

/// How long to wait before the next attempt.
duration backoff(scheduler_self self, unsigned attempts);

} // namespace novacron::scheduler
