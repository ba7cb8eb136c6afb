#pragma once

/// The ledger as the actors of a node see it: keeps its process alive, passes on to the node that leads.

#include "actors/host/metrics.hpp"
#include "actors/state/ledger_server.hpp"
#include "actors/state/local_ledger.hpp"
#include "messages/ledger.hpp"
#include "messages/vocabulary.hpp"

#include <caf/actor_system.hpp>

#include <functional>
#include <memory>

namespace novacron::ledger {

struct config {
  /// What the process is started with. An empty `directory` means that this node has no ledger of its own and
  /// passes everything on.
  server_options server;
  /// The program, and what comes before the server's own arguments: {"/usr/bin/novacron", "ledger-server"}.
  std::vector<std::string> program;
  /// Nodes that may have a ledger, asked when nobody is known to lead.
  std::vector<std::string> peers;
  /// The ledger actor of the named node, null while it is not known.
  std::function<caf::actor(const std::string& node)> peer;
  /// A request that could not be done in this time fails.
  duration patience = std::chrono::seconds{8};
  /// Requests that may wait at a time; more are refused.
  std::size_t waiting_max = 4096;
  /// More starts of the process than this within the period stop the actor: its supervisor decides then.
  std::uint32_t starts_max = 30;
  duration starts_period = std::chrono::seconds{60};
  /// Where to count; null counts nothing.
  std::shared_ptr<host::metrics> numbers = nullptr;
  /// Gives the node's own voter in place of a process; the virtual world has its own.
  std::function<std::unique_ptr<local_ledger>()> local = nullptr;
  /// As whom it signs commands that come without a name: unique to this start. Empty makes one by chance.
  std::string client = {};
};

ledger_actor spawn_ledger(caf::actor_system& system, config settings);

} // namespace novacron::ledger
