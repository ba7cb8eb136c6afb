#include "actors/simulation/seal.hpp"

#include <fmt/format.h>

namespace novacron::simulation {
namespace {

std::uint64_t mixed(std::string_view text, std::uint64_t seed) {
  auto x = seed;
  for (const auto letter : text) {
    x = (x ^ static_cast<unsigned char>(letter)) * 0x100000001B3ull;
    x ^= x >> 31;
  }
  return x;
}

} // namespace

node::papers seal::papers_of(const std::string& name, const std::string& role) const {
  return {.certificate = "virtual/" + role + "/" + name, .key = "key of " + name, .authority = "virtual", .by = this};
}

host::verdict seal::judge(const std::string& certificate, const std::string& authority, host::wall_time now,
                          const host::deny_list& denied) const {
  auto found = host::verdict{};
  const auto first = certificate.find('/');
  const auto second = certificate.find('/', first + 1);
  if (first == certificate.npos || second == certificate.npos || certificate.substr(0, first) != authority) {
    found.why = host::refusal::wrong_authority;
    found.text = "this is no certificate of the virtual world";
    return found;
  }
  found.why = host::refusal::none;
  found.who.role = certificate.substr(first + 1, second - first - 1);
  found.who.name = certificate.substr(second + 1);
  found.who.serial = fmt::format("{:016x}", mixed(found.who.name, 1));
  // Hosts renew while they are in touch; how papers run out is the trust room's own story.
  found.who.not_before = now - std::chrono::hours{1};
  found.who.not_after = now + std::chrono::hours{24};
  if (denied.contains(found.who.serial))
    found.why = host::refusal::denied;
  return found;
}

std::string seal::sign(const std::string& key, std::string_view purpose, std::string_view bytes) const {
  return fmt::format("{:016x}", mixed(bytes, mixed(purpose, mixed(key, 2))));
}

bool seal::is_signed(const std::string& certificate, std::string_view purpose, std::string_view bytes,
                     std::string_view signature) const {
  const auto slash = certificate.rfind('/');
  return slash != certificate.npos && sign("key of " + certificate.substr(slash + 1), purpose, bytes) == signature;
}

std::string seal::nonce() const {
  auto bytes = std::string{};
  for (auto i = 0; i < 4; ++i) {
    auto word = chance_();
    for (auto j = 0; j < 8; ++j, word >>= 8)
      bytes += static_cast<char>(word & 0xff);
  }
  return bytes;
}

} // namespace novacron::simulation
