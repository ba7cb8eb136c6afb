#pragma once

/// The cache as actors see it: embedded, or in Redis when an address is given.

#include "actors/state/cache_redis.hpp"
#include "messages/cache.hpp"

#include <caf/actor_system.hpp>

namespace novacron::cache {

struct config {
  embedded::config inside;
  /// An empty address means the embedded cache.
  redis::config outside;
};

cache_actor spawn_cache(caf::actor_system& system, config settings);

} // namespace novacron::cache
