#pragma once

/// TLS contexts for links, ledger and API: mutual, TLS 1.3 only, the fabric's own authority, every refusal classified.

#include "actors/host/certificate.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// OpenSSL's own names, so that its headers stay out of this one.
using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace novacron::host {

enum class tls_side : std::uint8_t { server, client };

/// What a node keeps in `<data>/trust/`.
struct trust_files {
  std::filesystem::path authority;
  std::filesystem::path certificate;
  std::filesystem::path key;
  /// Only where certificates are issued.
  std::filesystem::path authority_key;
};
/// ca.pem, cert.pem, key.pem and ca.key in `directory`.
trust_files trust_files_in(const std::filesystem::path& directory);

struct tls_settings {
  std::filesystem::path directory;
  tls_side side = tls_side::server;
  /// Roles that may be at the other end; empty lets every role in.
  std::vector<std::string> roles;
  /// The name the other end must have; empty lets every name in.
  std::string peer;
  /// False lets peers without a certificate in as nobody; only for the API, where such a peer may only ask to join.
  bool certificate_required = true;
  /// Sends the authority along, for peers that know only its fingerprint; only for the API.
  bool sends_authority = false;
  /// Serials that are refused; may be changed at any time.
  std::shared_ptr<const deny_list> denied;
  /// Is told of each refusal, from whichever thread shakes hands.
  std::function<void(refusal why, std::string_view text)> refused;
  /// What time it is for certificates.
  std::function<wall_time()> now = std::chrono::system_clock::now;
};

/// A context that may be shared by any number of connections and threads. It outlives all of them, or they hold it.
/// A certificate that was renewed on disk is taken for the next handshake without doing anything.
class tls_context {
public:
  /// Throws certificate_error or std::system_error when the files are not there or do not belong together.
  explicit tls_context(tls_settings settings);
  ~tls_context();
  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;

  SSL_CTX* native() const;
  /// Who this end says it is at the moment.
  identity self() const;

  /// Defined in tls.cpp.
  struct state;

private:
  std::unique_ptr<state> state_;
};

/// Makes the usual context: `directory` is `<data>/trust`.
std::shared_ptr<tls_context> make_tls_context(tls_settings settings);

/// Who is at the other end of a connection whose handshake is done; nothing for a peer without a certificate.
std::optional<identity> peer_identity(const SSL* connection);
/// Why the handshake on this connection failed on our side; `none` if we refused nothing.
refusal refusal_of(const SSL* connection);
/// The last problem OpenSSL has for this thread, in words; empties its queue.
std::string tls_problem();

/// A context for one who has no certificate yet: believes a server whose authority has this fingerprint (SHA-256, hex)
/// and which is a controller. `authority` receives the authority's certificate once a handshake succeeded.
class joining_context {
public:
  explicit joining_context(std::string fingerprint, std::function<wall_time()> now = std::chrono::system_clock::now);
  ~joining_context();
  joining_context(const joining_context&) = delete;
  joining_context& operator=(const joining_context&) = delete;
  SSL_CTX* native() const;
  /// PEM of the authority that was believed; empty before.
  std::string authority() const;

  struct state;

private:
  std::unique_ptr<state> state_;
};

} // namespace novacron::host
