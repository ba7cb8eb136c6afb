#pragma once

/// Carries actor messages between hosts over mutual TLS: a middleman whose connections are authenticated first.
///
/// Unlike CAF's own OpenSSL module it finishes the handshake before the message broker sees a connection, so that a
/// peer without a valid certificate can neither send a byte to it nor keep its thread busy; it limits how many
/// handshakes are under way and how long each may take, and it says why it refused one. Afterwards it reads along, and
/// lets a peer reach only the actors that it may.

#include "actors/host/frame_guard.hpp"
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
  /// The name in the peer's certificate, once the handshake is done.
  std::function<std::string(SSL*)> name = [](SSL*) { return std::string{}; };
  /// Whether the peer of that name may send a message there; called for each on the multiplexer's thread.
  std::function<bool(const std::string& peer, const destination& where)> reaches = [](const auto&, const auto&) { return true; };
  /// Told of each refused connection or frame; called on any thread.
  std::function<void(const std::string& why)> refused;
  /// A handshake that takes longer is cut off.
  std::chrono::nanoseconds patience = std::chrono::seconds{10};
  /// When there are more handshakes at once than this, the oldest is turned away: it had the most time, and whoever fills
  /// the places with connections that say nothing would otherwise keep everybody out.
  std::size_t handshakes_max = 256;
  /// A peer that announces a longer message is cut off. Ours have 1 MiB at most; an Assign may be longer.
  std::size_t message_bytes_max = std::size_t{16} << 20;
};

/// Starts the middleman. `loop` must outlive the actor system.
caf::io::middleman_actor spawn_tls_middleman(caf::actor_system& system, loop& loop, tls_hooks hooks);

} // namespace novacron::host
