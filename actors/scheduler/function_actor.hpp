#pragma once

/// Starts the actor that takes calls of functions, on the node whose ledger leads.

#include "actors/host/metrics.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "messages/function.hpp"

#include <memory>

namespace novacron {

struct function_config {
  /// How long ledger and scheduler may take to answer before they are asked again, after how long.
  duration answer_max = std::chrono::seconds{5};
  duration retry_delay = std::chrono::milliseconds{500};
  /// How long one question for news of the scheduler waits.
  duration news_max = std::chrono::seconds{30};
  /// How much longer than the handler the node that has it may take to say how the call went.
  duration call_slack = std::chrono::seconds{10};
  /// Where to count; null counts nothing.
  std::shared_ptr<host::metrics> numbers = nullptr;
};

function_actor spawn_functions(caf::actor_system& system, function_config settings, ledger_actor ledger,
                               scheduler_actor scheduler, agent_lookup agent_of);

} // namespace novacron
