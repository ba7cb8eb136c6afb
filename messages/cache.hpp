#pragma once

/// The cache answers at once or not at all: when it is away every value is absent and every order is dropped.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

using cache_actor = caf::typed_actor<caf::replies_to<wire::CacheGet>::with<wire::CacheValue>,
                                     caf::replies_to<wire::CachePut>::with<wire::Done>,
                                     caf::replies_to<wire::CacheErase>::with<wire::Done>,
                                     caf::replies_to<wire::CacheStatusRequest>::with<wire::CacheStatus>>;

} // namespace novacron
