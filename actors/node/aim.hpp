#pragma once

/// The actor behind a relay: read for each message, changed hardly ever.
///
/// With a lock a sender that is preempted while it holds it keeps all others waiting; alone, both cost the same (12 ns
/// a message). Readers announce what they use in a place of their own thread instead (hazard pointers, M. Michael,
/// 2004), and whoever changes the aim waits until nobody uses the old one.

#include <caf/all.hpp>

#include <atomic>
#include <mutex>

namespace novacron::node {

class aim {
public:
  /// What is aimed at, kept alive as long as this lives. Belongs to the thread that made it, and may be nested.
  class use {
  public:
    explicit use(const aim& from);
    ~use();
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    caf::actor_control_block* get() const { return found_; }

  private:
    std::atomic<const void*>* mark_;
    caf::actor_control_block* found_;
    /// Only when uses are nested deeper than there are places.
    caf::strong_actor_ptr kept_;
  };

  /// From now on nobody uses what was aimed at before.
  void set(caf::strong_actor_ptr target);
  caf::strong_actor_ptr get() const;
  /// The same where no other thread can change it meanwhile: it is kept alive by nobody.
  caf::actor_control_block* peek() const { return current_.load(std::memory_order_acquire); }

private:
  /// In a line of the cache of its own: what stands beside it is written, and what is here hardly ever.
  alignas(64) std::atomic<caf::actor_control_block*> current_ = nullptr;
  mutable std::mutex guard_;
  caf::strong_actor_ptr owned_;
  /// What the thread that changed the aim was using itself.
  caf::strong_actor_ptr retired_;
};

static_assert(sizeof(aim) == 64, "A fabric has dozens of them for each node.");

} // namespace novacron::node
