#pragma once

/// An actor system that speaks our language over mutual TLS: what every node process and every spec with real
/// connections starts from.

#include "actors/host/loop.hpp"
#include "actors/host/tls.hpp"
#include "actors/host/tls_middleman.hpp"
#include "actors/node/directory.hpp"
#include "messages/language.hpp"
#include "messages/vocabulary.hpp"

#include <caf/all.hpp>
#include <caf/io/middleman.hpp>

namespace novacron::node {

struct system_config : caf::actor_system_config {
  explicit system_config(std::size_t threads = 0);
};

/// The hooks with which the TLS middleman makes and judges its sessions from the files in `trust_dir`.
/// Throws when there are no usable files.
host::tls_hooks links_over_tls(const std::string& trust_dir, std::shared_ptr<const host::deny_list> denied,
                               std::function<void(const std::string& why)> refused);

/// Publishes `door` on host:port (port 0 picks one) and returns the port; a sentence about what is wrong otherwise.
caf::expected<std::uint16_t> publish(caf::actor_system& system, const caf::io::middleman_actor& transport,
                                     const caf::actor& door, const std::string& host, std::uint16_t port);

/// Ends the actors that `names` knows, then the transport, and waits until no actor of `system` is left. Whoever owns
/// what actors use (`names` itself, files, counters) calls it before that goes: until then they may use it.
void end_actors(caf::actor_system& system, directory& names, const caf::io::middleman_actor& transport);

} // namespace novacron::node
