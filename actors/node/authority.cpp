#include "actors/node/authority.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace novacron::node {
namespace {

constexpr auto prefix = std::string_view{"novacron1"};
constexpr auto id_bytes = std::size_t{8};
constexpr auto secret_bytes = std::size_t{32};
constexpr auto digest_digits = std::size_t{64};

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string hash_of(const std::string& secret) {
  return host::sha256("novacron token " + secret);
}

} // namespace

std::string to_string(const join_secret& x) {
  return std::string{prefix} + '.' + x.id + '.' + x.secret + '.' + x.fingerprint;
}

std::optional<join_secret> parse_token(std::string_view text) {
  constexpr auto lengths = std::array{prefix.size(), 2 * id_bytes, 2 * secret_bytes, digest_digits};
  auto parts = std::array<std::string, lengths.size()>{};
  for (auto i = std::size_t{0}; i < parts.size(); ++i) {
    const auto last = i + 1 == parts.size();
    if (text.size() < lengths[i] + (last ? 0 : 1) || (last && text.size() != lengths[i]) ||
        (!last && text[lengths[i]] != '.'))
      return {};
    parts[i] = text.substr(0, lengths[i]);
    text.remove_prefix(std::min(lengths[i] + 1, text.size()));
  }
  if (parts[0] != prefix || !is_hex(parts[1]) || !is_hex(parts[2]) || !is_hex(parts[3]))
    return {};
  return join_secret{parts[1], parts[2], parts[3]};
}

std::int64_t milliseconds_of(host::wall_time x) {
  return std::chrono::floor<std::chrono::milliseconds>(x.time_since_epoch()).count();
}

std::string objection(const v1::TokenCreate& asked, const authority_config& settings) {
  if (!host::name_is_valid(asked.name()))
    return "\"" + asked.name() + "\" is no name: 1 to 63 of a-z, 0-9 and '-'";
  if (!host::role_exists(asked.role()))
    return "\"" + asked.role() + "\" is no role: cloud, hybrid, edge, gpu, storage, gateway, person";
  if (asked.life_ms() > static_cast<std::uint64_t>(settings.token_life_max.count()))
    return "a token lives for at most " + std::to_string(settings.token_life_max.count()) + " ms";
  return {};
}

minted mint(const v1::TokenCreate& asked, std::string_view chance, const std::string& fingerprint, host::wall_time now,
            const authority_config& settings) {
  const auto life = asked.life_ms() == 0 ? settings.token_life : std::chrono::milliseconds{asked.life_ms()};
  const auto secret = join_secret{host::to_hex(chance.substr(0, id_bytes)),
                                  host::to_hex(chance.substr(id_bytes, secret_bytes)), fingerprint};
  auto made = minted{};
  made.token.set_token(to_string(secret));
  made.token.set_id(secret.id);
  made.token.set_expires_ms(milliseconds_of(now + life));
  made.record.set_id(secret.id);
  made.record.set_name(asked.name());
  made.record.set_role(asked.role());
  made.record.set_hash(hash_of(secret.secret));
  made.record.set_expires_ms(made.token.expires_ms());
  return made;
}

std::string objection(const std::optional<v1::TokenRecord>& record, const join_secret& secret, std::string_view name,
                      std::string_view role, host::wall_time now) {
  if (!record || record->id() != secret.id || !host::equal_secretly(record->hash(), hash_of(secret.secret)))
    return "there is no such token";
  if (record->used())
    return "token " + record->id() + " was used already";
  if (milliseconds_of(now) >= record->expires_ms())
    return "token " + record->id() + " has expired";
  if (std::tie(record->name(), record->role()) != std::tuple{name, role})
    return "token " + record->id() + " is for " + record->role() + '/' + record->name() + ", not for " +
           std::string{role} + '/' + std::string{name};
  return {};
}

bool is_stale(const v1::TokenRecord& record, host::wall_time now) {
  constexpr auto remembered = std::chrono::hours{24};
  return milliseconds_of(now - remembered) >= record.expires_ms();
}

bool is_serial(std::string_view text) {
  constexpr auto digits_max = std::size_t{40}; // RFC 5280: at most 20 octets
  return !text.empty() && text.size() <= digits_max && text.size() % 2 == 0 && is_hex(text);
}

} // namespace novacron::node
