#pragma once

/// Connections that people come in by: a unix socket, or TLS on an address.

#include "actors/api/http.hpp"
#include "actors/host/tls.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace novacron::api {

using deadline = std::chrono::steady_clock::time_point;

/// One connection. Not thread-safe; every wait ends at its deadline.
class line {
public:
  virtual ~line() = default;
  /// Finishes the handshake; false when the peer may not come in. Does nothing the second time.
  virtual bool greet(deadline until) = 0;
  /// Up to `size` bytes; 0 at the end, when broken, or at the deadline.
  virtual std::size_t read(char* into, std::size_t size, deadline until) = 0;
  virtual bool write(std::string_view bytes, deadline until) = 0;
  /// Whether bytes were read from the socket that nobody asked for yet.
  virtual bool pending() const { return false; }
  /// Says that nothing follows.
  virtual void finish(deadline until) = 0;
  virtual int descriptor() const = 0;

  /// Who is at the other end; known after greet().
  caller who;
};

/// Where connections come in.
class entrance {
public:
  virtual ~entrance() = default;
  virtual int descriptor() const = 0;
  /// The next connection, null when there is none; `errno` says why.
  virtual std::unique_ptr<line> accept() = 0;
  /// "unix" or "tls", for metrics.
  virtual const char* kind() const = 0;
  /// The port it listens at, 0 for a unix socket.
  virtual std::uint16_t port() const { return 0; }
};

/// Listens at `path`, for its owner alone: whoever can open it is a person. A socket that nobody listens at any more
/// is replaced. Throws std::system_error.
std::unique_ptr<entrance> enter_by_unix(const std::string& path);

/// Listens at host:port (0 picks a port). The context must be one for servers which does not require a certificate:
/// who brings none is nobody. Throws std::system_error.
std::unique_ptr<entrance> enter_by_tls(const std::string& host, std::uint16_t port,
                                       std::shared_ptr<host::tls_context> context);

} // namespace novacron::api
