#pragma once

/// What will happen in the virtual world, by time; what was planned first happens first when the times are equal.

#include "actors/simulation/parcel.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/atom.hpp>
#include <caf/mailbox_element.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace novacron::simulation {

/// One thing to come.
struct event {
  enum class kind : std::uint8_t { nothing, act, message, request_timeout, timeout, parcel };
  kind what = kind::nothing;
  /// Whose; it is void when that life is over.
  life_number whose = 0;
  caf::strong_actor_ptr who;
  caf::mailbox_element_ptr content;
  /// Of a request or a timeout.
  std::uint64_t id = 0;
  caf::atom_value type{};
  std::function<void()> act;
  std::unique_ptr<simulation::parcel> mail;
};

class agenda {
public:
  agenda();
  ~agenda();

  void plan(moment when, event what);
  /// Takes back what an actor was promised; nothing happens when it is not there (any more).
  void cancel(event::kind what, std::uint64_t actor, std::uint64_t id);

  bool empty() const { return heap_.empty(); }
  moment next() const { return heap_.front().when; }
  /// Takes what comes next; its kind is `nothing` when it was cancelled.
  event take();
  void clear();
  std::size_t size() const { return heap_.size(); }

private:
  struct entry {
    moment when;
    std::uint64_t number;
    std::uint32_t slot;
  };
  struct key {
    std::uint64_t actor;
    std::uint64_t id;
    bool operator==(const key&) const = default;
  };
  struct key_hash {
    std::size_t operator()(const key& x) const {
      return x.actor * 0x9E3779B97F4A7C15ull ^ x.id * 0xC2B2AE3D27D4EB4Full;
    }
  };
  static bool later(const entry& a, const entry& b) { return a.when != b.when ? a.when > b.when : a.number > b.number; }
  static bool cancellable(event::kind x) { return x == event::kind::request_timeout || x == event::kind::timeout; }

  std::vector<entry> heap_;
  std::vector<event> slots_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<key, std::uint32_t, key_hash> open_;
  std::uint64_t planned_ = 0;
};

} // namespace novacron::simulation
