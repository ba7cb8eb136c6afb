#pragma once

/// The image store as an actor: imports, lists, hands on and pulls images.

#include "actors/workload/image_store.hpp"
#include "messages/agent.hpp"
#include "messages/vocabulary.hpp"

#include <memory>
#include <string>
#include <vector>

namespace novacron::workload {

struct image_actor_config {
  /// The name of this node, for the answers.
  std::string node;
  /// The image actors to pull from, asked in this order.
  std::vector<caf::actor> upstream;
  duration lookup_patience = std::chrono::seconds{10};
  /// Chosen: half a MiB over a line of 200 kbit/s takes 21 s.
  duration piece_patience = std::chrono::seconds{60};
  /// How long unpacking what was pulled may take.
  duration unpack_patience = std::chrono::hours{1};
  /// Half of what a message may be.
  std::uint32_t piece_bytes = 512u << 10;
  /// Blobs that are on their way at a time: with `piece_bytes` this bounds the memory of all pulls.
  std::uint32_t fetches_max = 3;
};

/// Reading, hashing and unpacking happen on two threads of its own, so that a long import holds up nobody who asks.
/// `store` may be used by others (the driver) at the same time.
image_actor spawn_image_actor(caf::actor_system& system, std::shared_ptr<image_store> store,
                              image_actor_config settings = {});

} // namespace novacron::workload
