#pragma once

/// Who may join the fabric: tokens for one node and one use. Decides only; the ledger keeps, the actor asks.

#include "actors/host/certificate.hpp"
#include "messages/wire/trust.pb.h"

#include <optional>
#include <string>
#include <string_view>

namespace novacron::node {

struct authority_config {
  /// How long certificates live.
  std::chrono::milliseconds life{std::chrono::hours{24}};
  /// How long a token can be used unless its maker says otherwise, and at most.
  std::chrono::milliseconds token_life{std::chrono::minutes{15}};
  std::chrono::milliseconds token_life_max{std::chrono::hours{24}};
  /// Tokens that may wait at the same time.
  std::size_t tokens_max = 10'000;
};

/// What a joining node holds: which token, the proof that it was given it, and whom to believe.
struct join_secret {
  std::string id;
  std::string secret;
  /// SHA-256 of the authority's certificate, hex.
  std::string fingerprint;
};
/// The text that people carry: no spaces, one line.
std::string to_string(const join_secret& x);
std::optional<join_secret> parse_token(std::string_view text);

/// Milliseconds since the epoch.
std::int64_t milliseconds_of(host::wall_time x);

/// A new token, and what to remember of it.
struct minted {
  v1::JoinToken token;
  v1::TokenRecord record;
};
/// Makes a token out of `chance`, 40 unguessable bytes. The life asked for must be legal: see `objection`.
minted mint(const v1::TokenCreate& asked, std::string_view chance, const std::string& fingerprint, host::wall_time now,
            const authority_config& settings);
/// What is wrong with the wish for a token; empty when nothing is.
std::string objection(const v1::TokenCreate& asked, const authority_config& settings);

/// Why the holder of `secret` may not join as (name, role) with the token on `record`; empty when it may. One who does
/// not know the secret learns nothing about the token.
std::string objection(const std::optional<v1::TokenRecord>& record, const join_secret& secret, std::string_view name,
                      std::string_view role, host::wall_time now);

/// Whether a token is of no use to anybody any more, so that its record may go.
bool is_stale(const v1::TokenRecord& record, host::wall_time now);

/// Whether `text` can be the serial of a certificate: lower-case hex.
bool is_serial(std::string_view text);

} // namespace novacron::node
