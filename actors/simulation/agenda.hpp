#pragma once

/// What will happen in the virtual world, by time; what was planned first happens first when the times are equal.

#include "actors/simulation/parcel.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/atom.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message_id.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace novacron::simulation {

/// One thing to come. Millions lie about until their time, and half a line of the cache is all that each may take. It
/// is moved by a few instructions: of the code that a step goes through, all should fit into the processor's first
/// cache.
class event {
public:
  /// What an actor asked its clock for by `after`: the timeout's number, and its type.
  struct alarm {
    std::uint64_t number = 0;
    caf::atom_value type{};
  };
  /// Nothing, when it was taken back; a message that an actor sends later; a request that had no answer in time; the
  /// agenda's own look at many of those.
  enum class kind : std::uint8_t { nothing, act, message, timeout, request, mail, lane };

  event() = default;
  event(std::function<void()> act, life_number whose);
  event(caf::mailbox_element_ptr message, caf::strong_actor_ptr who, life_number whose)
      : raw_{.message = message.release()}, who{std::move(who)}, whose{whose}, what_{kind::message} {}
  event(alarm timeout, caf::strong_actor_ptr who, life_number whose)
      : raw_{.timeout = new alarm{timeout}}, who{std::move(who)}, whose{whose}, what_{kind::timeout} {}
  event(caf::message_id request, caf::strong_actor_ptr who, life_number whose)
      : raw_{.request = request}, who{std::move(who)}, whose{whose}, what_{kind::request} {}
  explicit event(std::size_t lane) : raw_{.lane = lane}, what_{kind::lane} {}
  explicit event(std::unique_ptr<parcel> mail) : raw_{.mail = mail.release()}, what_{kind::mail} {}
  event(event&& x) noexcept
      : raw_{x.raw_}, who{std::move(x.who)}, whose{x.whose}, what_{std::exchange(x.what_, kind::nothing)} {}
  event& operator=(event&& x) noexcept {
    std::swap(raw_, x.raw_);
    std::swap(who, x.who);
    std::swap(whose, x.whose);
    std::swap(what_, x.what_);
    return *this;
  }
  ~event() {
    if (what_ != kind::nothing && what_ != kind::request && what_ != kind::lane)
      drop();
  }

  kind what() const { return what_; }
  /// Asks the processor for the memory that this event will go through: most of what lies about until its time has left
  /// the caches meanwhile, and a step that waits for it line by line takes twice as long.
  void fetch() const;
  /// Each only of its kind. Who takes what an event owns leaves nothing in it.
  const std::function<void()>& act() const { return *raw_.act; }
  const alarm& timeout() const { return *raw_.timeout; }
  caf::message_id request() const { return raw_.request; }
  std::size_t lane() const { return raw_.lane; }
  caf::mailbox_element_ptr take_message() {
    what_ = kind::nothing;
    return caf::mailbox_element_ptr{raw_.message};
  }
  std::unique_ptr<parcel> take_mail() {
    what_ = kind::nothing;
    return std::unique_ptr<parcel>{raw_.mail};
  }

private:
  void drop() noexcept;

  union {
    std::function<void()>* act;
    caf::mailbox_element* message;
    alarm* timeout;
    caf::message_id request;
    parcel* mail;
    std::size_t lane;
  } raw_{};

public:
  /// To whom it happens, if to an actor.
  caf::strong_actor_ptr who;
  /// Whose it is; it is void when that life is over. 0 for the world's own.
  life_number whose = 0;

private:
  kind what_ = kind::nothing;
};

/// What comes within the next seconds lies in a ring of buckets, one for each millisecond; what comes later waits in a heap
/// until the ring has come that far; what comes in the millisecond that has begun is a heap as well. Most that happens
/// is so put into its bucket and taken from there, alone. Brown: Calendar queues, CACM 31 (1988); Varghese, Lauck:
/// Hashed and hierarchical timing wheels, SOSP 1987.
class agenda {
public:
  agenda();
  ~agenda();

  /// `when` is not before what was taken last.
  void plan(moment when, event&& what);
  /// Plans a timeout of the kind `after` makes; the one that this actor had of this type is taken back.
  void plan_timeout(moment when, event what);
  void cancel_timeout(std::uint64_t actor, caf::atom_value type);
  /// Plans the end of a request's time, `wait` from `now`. It happens only if `open` says then that the request has no
  /// answer yet.
  void plan_request(moment now, moment wait, life_number whose, caf::strong_actor_ptr who, caf::message_id request);

  bool empty() const { return near_.empty() && in_ring_ == 0 && far_.empty(); }
  /// When the next thing happens, if anything does.
  moment next();
  /// Takes what comes next: nothing when that was taken back, or needs not happen.
  event take();
  /// What comes next, as far as that is known without looking for it; else null.
  const event* ahead() const {
    return near_.empty() ? nullptr : &slots_[near_.front().slot].what;
  }
  void clear();

  /// Whether a request still waits.
  std::function<bool(const caf::strong_actor_ptr&, caf::message_id)> open;

private:
  /// A place for what is planned: `next` is the next place in the same bucket, or among the free ones.
  struct place {
    event what;
    moment when{0};
    std::uint32_t order = 0;
    std::uint32_t next = none;
  };
  /// Counted in the order of planning, which decides among equal times.
  struct entry {
    moment when;
    std::uint32_t order;
    std::uint32_t slot;
    /// Of two, which comes first. Counts that are very far apart were counted round.
    bool before(const entry& x) const {
      return when != x.when ? when < x.when : static_cast<std::int32_t>(order - x.order) < 0;
    }
  };
  struct key {
    std::uint64_t actor;
    std::uint64_t type;
    bool operator==(const key&) const = default;
  };
  struct key_hash {
    std::size_t operator()(const key& x) const {
      return x.actor * 0x9E3779B97F4A7C15ull ^ x.type * 0xC2B2AE3D27D4EB4Full;
    }
  };
  struct waiting_request {
    moment when;
    caf::strong_actor_ptr who;
    caf::message_id request;
    life_number whose;
  };
  /// Requests that were given the same time: they end in the order in which they began, so only the first of them needs
  /// a place of its own in the order of all things, and most have an answer long before.
  struct lane {
    moment wait;
    std::vector<waiting_request> waiting;
    /// Those before it are done.
    std::size_t first = 0;
    /// Has a place in the order of all things.
    bool placed = false;
  };

  static constexpr auto none = ~std::uint32_t{0};
  /// A bucket takes 2^20 ns, and all together 17 s: longer than links let pass between beats.
  static constexpr auto bucket_bits = 20;
  static constexpr auto ring = std::size_t{1} << 14;

  static std::uint64_t bucket_of(moment when) { return static_cast<std::uint64_t>(when.count()) >> bucket_bits; }
  /// The slot it was given.
  std::uint32_t place_at(moment when, event&& what);
  void into_ring(std::uint32_t slot);
  entry pop();
  /// Goes on to the next bucket in which something is, if anything is left.
  void turn();
  /// The next bucket in which something is, as a number like `turned_`; only if `in_ring_`.
  std::uint64_t next_bucket() const;
  /// Lets go of the first requests of a lane as far as they have answers.
  void clean(lane& which);
  /// Looks at the requests of a lane of which one may be due.
  event take_from(std::size_t which);

  std::vector<place> slots_;
  std::uint32_t free_ = none;
  /// The bucket that has begun, counted from the beginning of time. What is in it, or before it, is near.
  std::uint64_t turned_ = 0;
  std::vector<entry> near_;
  std::vector<std::uint32_t> buckets_ = std::vector<std::uint32_t>(ring, none);
  /// Which buckets have something in them.
  std::array<std::uint64_t, ring / 64> filled_{};
  std::size_t in_ring_ = 0;
  std::vector<entry> far_;
  std::uint32_t planned_ = 0;
  /// When what was taken last happened.
  moment last_{0};

  std::unordered_map<key, std::uint32_t, key_hash> timeouts_;
  std::vector<lane> lanes_;
};

} // namespace novacron::simulation
