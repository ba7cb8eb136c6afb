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
  /// Nothing, when it was taken back; a message that an actor sends later; a request that had no answer in time.
  enum class kind : std::uint8_t { nothing, act, message, timeout, request, mail };

  event() = default;
  event(std::function<void()> act, life_number whose);
  event(caf::mailbox_element_ptr message, caf::strong_actor_ptr who, life_number whose)
      : raw_{.message = message.release()}, who{std::move(who)}, whose{whose}, what_{kind::message} {}
  event(alarm timeout, caf::strong_actor_ptr who, life_number whose)
      : raw_{.timeout = new alarm{timeout}}, who{std::move(who)}, whose{whose}, what_{kind::timeout} {}
  event(caf::message_id request, caf::strong_actor_ptr who, life_number whose)
      : raw_{.request = request}, who{std::move(who)}, whose{whose}, what_{kind::request} {}
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
    if (what_ != kind::nothing && what_ != kind::request)
      drop();
  }

  kind what() const { return what_; }
  /// Each only of its kind. Who takes what an event owns leaves nothing in it.
  const std::function<void()>& act() const { return *raw_.act; }
  const alarm& timeout() const { return *raw_.timeout; }
  caf::message_id request() const { return raw_.request; }
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
  } raw_{};

public:
  /// To whom it happens, if to an actor.
  caf::strong_actor_ptr who;
  /// Whose it is; it is void when that life is over. 0 for the world's own.
  life_number whose = 0;

private:
  kind what_ = kind::nothing;
};

class agenda {
public:
  agenda();
  ~agenda();

  /// `when` is not before what was taken last.
  void plan(moment when, event what);
  /// Plans a timeout of the kind `after` makes; the one that this actor had of this type is taken back.
  void plan_timeout(moment when, event what);
  void cancel_timeout(std::uint64_t actor, caf::atom_value type);
  /// Plans the end of a request's time, `wait` from `now`. It happens only if `open` says then that the request has no
  /// answer yet.
  void plan_request(moment now, moment wait, life_number whose, caf::strong_actor_ptr who, caf::message_id request);

  bool empty() const { return size_ == 0; }
  /// When the next thing happens, if anything does.
  moment next() const;
  /// Takes what comes next: nothing when that was taken back, or needs not happen.
  event take();
  void clear();

  /// Whether a request still waits.
  std::function<bool(const caf::strong_actor_ptr&, caf::message_id)> open;

private:
  struct entry {
    moment when;
    std::uint32_t slot;
  };
  /// A digit of a time in which it is later than what was taken last.
  struct bucket {
    moment least{0};
    std::vector<entry> all;
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

  static constexpr auto digit_bits = std::size_t{4};
  static constexpr auto digits = std::size_t{1} << digit_bits;

  void push(moment when, std::uint32_t slot);
  entry pop();
  std::pair<std::size_t, std::size_t> earliest() const;
  /// Lets go of the first requests of a lane as far as they have answers.
  void clean(lane& which);
  /// Looks at the requests of a lane of which one may be due.
  event take_from(std::uint32_t which);

  // A radix heap: what is later than the time taken last lies where the first digit is in which the two differ. Times
  // only go on, so each entry moves to ever lower digits, in order. Ahuja, Mehlhorn, Orlin, Tarjan: Faster algorithms
  // for the shortest path problem, JACM 37 (1990).
  std::array<std::array<bucket, digits>, 64 / digit_bits> later_;
  std::array<std::uint16_t, 64 / digit_bits> filled_{};
  std::uint32_t levels_ = 0;
  /// What happens at the time taken last.
  std::vector<entry> due_;
  /// What of it was taken already.
  std::size_t taken_ = 0;
  moment last_{0};
  std::size_t size_ = 0;

  std::vector<event> slots_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<key, std::uint32_t, key_hash> timeouts_;
  std::vector<lane> lanes_;
};

} // namespace novacron::simulation
