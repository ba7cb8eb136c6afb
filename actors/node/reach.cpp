#include "actors/node/reach.hpp"

#include <mutex>
#include <utility>

namespace novacron::node {

void reach::open(std::uint64_t actor, std::string peer) {
  const auto lock = std::lock_guard{guard_};
  all_[actor] = {std::move(peer), false};
}

void reach::await(std::uint64_t actor, std::string peer) {
  const auto lock = std::lock_guard{guard_};
  all_[actor] = {std::move(peer), true};
}

void reach::close(std::uint64_t actor) {
  const auto lock = std::lock_guard{guard_};
  all_.erase(actor);
}

bool reach::permits(const std::string& peer, const host::destination& where) const {
  const auto lock = std::shared_lock{guard_};
  const auto at = all_.find(where.actor);
  if (at == all_.end() || (at->second.answers_only && !where.is_answer))
    return false;
  return at->second.peer.empty() || at->second.peer == peer;
}

} // namespace novacron::node
