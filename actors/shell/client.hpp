#pragma once

/// Talks HTTP/JSON to a fabric, over its unix socket or over TLS with a certificate.

#include "actors/shell/failure.hpp"
#include "actors/shell/http_reader.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::shell {

/// Where a fabric listens: a unix socket, or a host and port.
struct target {
  std::string socket;
  std::string host;
  std::string port;

  std::string text() const { return socket.empty() ? host + ":" + port : socket; }
};

/// "/run/x.sock", "unix:x.sock", "HOST:PORT", "[::1]:7180" or "https://HOST:PORT". Throws `failure` for anything else.
target parse_target(std::string_view text);

/// The directory where the nodes of this machine keep their state.
std::filesystem::path state_directory(const std::function<const char*(const char*)>& variable, unsigned user);

/// The client side of one connection, opened when needed and kept open between requests.
class client {
public:
  /// `trust` holds ca.pem, cert.pem and key.pem; it is only read for TLS.
  client(target where, std::filesystem::path trust, std::chrono::milliseconds timeout);
  ~client();
  client(client&&) noexcept;
  client& operator=(client&&) noexcept;

  /// The answer to one request whatever its status. Throws `failure` when none comes within the timeout and
  /// `patience` together, `interrupted` on Ctrl-C. A GET, or an order with a `key` that makes it harmless to
  /// repeat, is tried a second time when a connection turns out to be closed. `more` are further lines of the head.
  http_reply send(std::string_view method, const std::string& path, const std::string& body = {},
                  std::chrono::milliseconds patience = {}, const std::string& key = {}, const std::string& more = {});

  /// The JSON of an answer that is no problem; throws `failure` made from the problem otherwise.
  std::string get(const std::string& path, std::chrono::milliseconds patience = {});
  std::string post(const std::string& path, const std::string& json, std::chrono::milliseconds patience = {});
  /// Orders carry a fresh key each, so that they are done once.
  /// One with `revision` is only followed while what it changes is still at that revision (0: is not there).
  std::string order(std::string_view method, const std::string& path, const std::string& json = {},
                    std::optional<std::uint64_t> revision = {});

  /// Asks on a connection of its own and hands out the answer as it comes, head and all, until it ends or `take` says
  /// that it is enough. `more` are lines of the head.
  void relay(const std::string& path, const std::string& more, const std::function<bool(std::string_view)>& take) const;

  const target& where() const { return to; }
  const std::filesystem::path& trusted() const { return trust; }
  std::chrono::milliseconds timeout() const { return limit; }

private:
  class connection;
  http_reply exchange(const std::string& request, std::chrono::steady_clock::time_point deadline);

  target to;
  std::filesystem::path trust;
  std::chrono::milliseconds limit;
  std::unique_ptr<connection> open;
};

/// What a problem (RFC 9457) or any other answer that is no success means.
failure problem(const http_reply& x);

/// An identity for an order that nobody had before.
std::string fresh_key();

/// One segment of a path or value of a query, percent-encoded.
std::string url_encode(std::string_view text);

} // namespace novacron::shell
