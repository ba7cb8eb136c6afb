#pragma once

/// The authority as an actor: makes tokens, redeems them once, renews certificates, spreads the deny list.

#include "actors/node/authority.hpp"
#include "messages/ledger.hpp"
#include "messages/trust.hpp"

#include <functional>
#include <memory>

namespace novacron::node {

struct authority_surroundings {
  /// The authority's own key and certificate.
  host::key_and_certificate authority;
  ledger_actor ledger;
  /// Unique to this run, for the ledger's commands.
  std::string client;
  /// The serials that this node refuses; kept as the ledger says.
  std::shared_ptr<host::deny_list> denied;
  /// Hands a message to the credentials actor of a node.
  std::function<void(const std::string& node, const wire::DenyList&)> tell;
  std::function<host::wall_time()> now = std::chrono::system_clock::now;
  /// Unguessable bytes.
  std::function<std::string(std::size_t count)> chance = host::random_bytes;
};

authority_actor spawn_authority(caf::actor_system& system, authority_config settings, authority_surroundings around);

} // namespace novacron::node
