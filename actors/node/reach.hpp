#pragma once

/// Who may reach which local actor from outside: a peer reaches what was made for it, and nothing else.
///
/// CAF numbers actors one after the other and lets a connected peer address every one that ever spoke to any peer.

#include "actors/host/frame_guard.hpp"

#include <cstdint>
#include <shared_mutex>
#include <string>
#include <unordered_map>

namespace novacron::node {

/// May be used from any thread.
class reach {
public:
  /// Lets `peer` (everybody, when it is empty) say anything to this actor, which judges for itself.
  void open(std::uint64_t actor, std::string peer);
  /// Lets `peer` (everybody, when it is empty) answer requests of this actor.
  void await(std::uint64_t actor, std::string peer);
  void close(std::uint64_t actor);

  bool permits(const std::string& peer, const host::destination& where) const;

private:
  struct entry {
    std::string peer;
    bool answers_only = false;
  };
  mutable std::shared_mutex guard_;
  std::unordered_map<std::uint64_t, entry> all_;
};

} // namespace novacron::node
