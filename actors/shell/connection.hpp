#pragma once

/// A byte stream to a fabric with deadlines: a unix socket, or TCP with TLS on both sides.

#include "actors/shell/client.hpp"

#include <openssl/ssl.h>

namespace novacron::shell {

class client::connection {
public:
  using instant = std::chrono::steady_clock::time_point;

  /// Throws `failure` (unreachable, denied, timeout, usage) that says why and what to do.
  connection(const target& to, const std::filesystem::path& trust, instant deadline);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  void write(std::string_view bytes, instant deadline);
  /// At least one byte; empty when the peer has closed.
  std::string_view read(instant deadline);
  /// Whether the peer has closed it, or said something unasked, since it was last used.
  bool stale() const;

private:
  void connect_socket(const target& to);
  void connect_host(const target& to, instant deadline);
  void start_tls(const target& to, const std::filesystem::path& trust, instant deadline);
  void check_peer(const target& to);
  /// Waits until `events` of the socket or Ctrl-C. Throws `failure` at the deadline.
  void wait(short events, instant deadline) const;
  short wanted(int result, instant deadline) const;

  int socket = -1;
  std::string name;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> tls{nullptr, SSL_free};
  std::string buffer;
};

} // namespace novacron::shell
