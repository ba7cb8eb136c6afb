#pragma once

/// Renews the certificate of this node at half of its life, for as long as the node runs.

#include "actors/host/log.hpp"
#include "actors/node/credentials.hpp"
#include "messages/trust.hpp"

#include <functional>
#include <memory>

namespace novacron::node {

struct credentials_surroundings {
  std::filesystem::path directory;
  std::string name;
  std::string role;
  /// Where to renew: the authority, as this node can reach it right now.
  std::function<caf::expected<caf::actor>()> authority;
  /// What every TLS context and door of this node refuses; filled from disk at the start.
  std::shared_ptr<host::deny_list> denied;
  /// Told of each certificate that was renewed.
  std::function<void(const host::identity&)> renewed;
  std::function<host::wall_time()> now = std::chrono::system_clock::now;
  std::uint64_t seed = 0;
};

credentials_actor spawn_credentials(caf::actor_system& system, renewal_config settings,
                                    credentials_surroundings around);

} // namespace novacron::node
