#pragma once

/// Connections that people come in by: a unix socket, or TLS on an address.

#include "actors/api/http.hpp"
#include "actors/host/tls.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::api {

using deadline = std::chrono::steady_clock::time_point;

/// One connection. Not thread-safe. Nothing waits but write(): whoever holds a connection waits for events().
class line {
public:
  enum class progress { done, more, over };

  virtual ~line() = default;
  /// Goes on with the handshake as far as it goes now; over when the peer may not come in. Done at once the second
  /// time.
  virtual progress greet() = 0;
  /// Up to `size` bytes; 0 at the end or when broken, nothing while there are none.
  virtual std::optional<std::size_t> read(char* into, std::size_t size) = 0;
  /// As many of `bytes` as go out now; 0 when broken, nothing while none do.
  virtual std::optional<std::size_t> write_some(std::string_view bytes) = 0;
  /// Says that nothing follows.
  virtual void finish() = 0;
  virtual int descriptor() const = 0;
  /// What the last call that could not go on waits for, as poll() has it.
  virtual short events() const = 0;

  /// All of `bytes`, or false when broken or at the deadline.
  bool write(std::string_view bytes, deadline until);

  /// Who is at the other end; known after greet().
  caller who;
  /// Where from: connections of one machine have the same. Empty at a unix socket.
  std::string from;
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
