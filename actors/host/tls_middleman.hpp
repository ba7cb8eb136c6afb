#pragma once

/// Carries actor messages between hosts over mutual TLS: a middleman whose connections are authenticated first.
///
/// Unlike CAF's own OpenSSL module it finishes the handshake before the message broker sees a connection, so that a
/// peer without a valid certificate can neither send a byte to it nor keep its thread busy; it limits how many
/// handshakes are under way and how long each may take, and it says why it refused one.

#include "actors/host/loop.hpp"

#include <caf/io/middleman_actor.hpp>
#include <openssl/ssl.h>

#include <functional>
#include <string>

namespace novacron::host {

struct tls_hooks {
  /// A fresh session for one connection, with the certificates of now; null when there are none.
  std::function<SSL*(bool accepting)> session;
  /// Says in a word why the handshake of this session failed.
  std::function<std::string(SSL*)> why;
  /// Told of each refused connection; called on any thread.
  std::function<void(const std::string& why)> refused;
  /// A handshake that takes longer is cut off.
  std::chrono::nanoseconds patience = std::chrono::seconds{10};
  /// More handshakes at once than this are turned away.
  std::size_t handshakes_max = 256;
};

/// Starts the middleman. `loop` must outlive the actor system.
caf::io::middleman_actor spawn_tls_middleman(caf::actor_system& system, loop& loop, tls_hooks hooks);

} // namespace novacron::host
