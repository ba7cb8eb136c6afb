#pragma once

/// A notary without mathematics: signatures that only the owner of a name would make, from a seeded chance.

#include "actors/node/introduction.hpp"

#include <cstdint>
#include <random>
#include <string>

namespace novacron::simulation {

class seal : public node::notary {
public:
  explicit seal(std::uint64_t seed) : chance_{seed} {}

  /// The papers of a node.
  node::papers papers_of(const std::string& name, const std::string& role) const;

  host::verdict judge(const std::string& certificate, const std::string& authority, host::wall_time now,
                      const host::deny_list& denied) const override;
  std::string sign(const std::string& key, std::string_view purpose, std::string_view bytes) const override;
  bool is_signed(const std::string& certificate, std::string_view purpose, std::string_view bytes,
                 std::string_view signature) const override;
  std::string nonce() const override;

private:
  mutable std::mt19937_64 chance_;
};

} // namespace novacron::simulation
