#pragma once

/// Stable addresses: a relay stands for an actor that may be restarted, be on another node, or be gone for a while.
///
/// A relay is an actor without a mailbox: what it is sent, it hands on in the sender's own thread, so that it costs
/// no hop. Rooms hold relays and never the handles behind them. See doc/decisions/0001.

#include "actors/node/aim.hpp"
#include "messages/language.hpp"

#include <caf/all.hpp>

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

namespace novacron::node {

/// What passed through a relay, for `actor list` and `actor trace`.
class traffic {
public:
  traffic() = default;
  traffic(const traffic&) = delete;
  traffic& operator=(const traffic&) = delete;
  ~traffic() { delete kept_.load(); }

  struct entry {
    std::uint64_t number = 0;
    caf::timespan time{};
    std::string from;
    std::string message;
    std::string json;
  };

  void count(const caf::mailbox_element& x, caf::actor_system& system) {
    messages_.fetch_add(1, std::memory_order_relaxed);
    if (limit_.load(std::memory_order_relaxed) != 0)
      keep(x, system.clock());
  }

  std::uint64_t messages() const { return messages_.load(std::memory_order_relaxed); }

  /// Begins to keep the content of up to `limit` messages; 0 ends it.
  void record(std::size_t limit);

  /// What was kept after `number`.
  std::vector<entry> recorded_after(std::uint64_t number) const;

private:
  void keep(const caf::mailbox_element& x, const caf::actor_clock& clock);

  struct record_of_some {
    std::mutex guard;
    std::list<entry> all;
    std::uint64_t recorded = 0;
  };

  std::atomic<std::uint64_t> messages_ = 0;
  std::atomic<std::size_t> limit_ = 0;
  /// There from the first `record` on: most relays are never asked to.
  std::atomic<record_of_some*> kept_ = nullptr;
};

/// What all relays share: they are actors that never run.
class relay : public caf::monitorable_actor {
public:
  using monitorable_actor::monitorable_actor;
  const char* name() const override { return "relay"; }
  /// The end of a relay is the end of its node's rooms: whoever monitors it is told.
  void retire();
  /// Does all that `enqueue` does but for the last step, and says who is to have the message; null when it went another
  /// way. Only where one thread does everything, as in the virtual world.
  virtual caf::actor_control_block* pass(caf::mailbox_element_ptr& what, caf::execution_unit* where);
};

/// The address of a local actor across its restarts. While there is none, requests are answered `fault::unavailable`.
class post : public relay {
public:
  post(caf::actor_config& config, std::string title);

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) override;
  caf::actor_control_block* pass(caf::mailbox_element_ptr& what, caf::execution_unit* where) override;

  /// Waits until nobody is handing on to the actor before.
  void aim(caf::strong_actor_ptr target) { target_.set(std::move(target)); }
  caf::strong_actor_ptr target() const { return target_.get(); }

  /// How its actor is doing, for people.
  struct condition {
    /// "running", "restarting", "failed"; "absent" when nobody ever started it here.
    std::string state = "absent";
    std::uint32_t restarts = 0;
    std::string last_failure;
  };
  void describe(condition x);
  condition described() const;

  const std::string title;
  traffic seen;

private:
  /// Whether it can go on to `to`; otherwise it was answered.
  bool admit(caf::actor_control_block* to, caf::mailbox_element& what, caf::execution_unit* where);

  node::aim target_;
  mutable std::mutex guard_;
  condition condition_;
};

/// The way out to an actor on a peer, across reconnects. What is said before the first connection is made or has failed
/// waits for that. It bounds the requests that are under way, and fails them at
/// once when the connection breaks: CAF itself would let them vanish.
class channel : public relay {
public:
  struct limits {
    /// Requests that may wait for an answer at the same time.
    std::size_t outstanding_max = 4096;
    /// A request without an answer is given up after this, whatever its sender thinks.
    caf::timespan age_max = std::chrono::minutes{2};
    /// How many locks the requests under way are spread over, 1 to 16: one for each thread that asks or answers.
    unsigned shards = 16;
  };

  channel(caf::actor_config& config, std::string peer, std::string title, limits bounds);

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) override;

  /// Connects to the handle that the peer gave for `title`.
  void aim(caf::strong_actor_ptr target);
  /// Fails everything under way, and everything that comes, with `why`.
  void cut(std::string why);
  /// Gives up requests that are too old.
  void expire();

  std::size_t outstanding() const;
  bool connected() const;

  const std::string peer;
  const std::string title;

private:
  struct waiting {
    /// 0: the place is free.
    std::uint64_t number = 0;
    caf::strong_actor_ptr asker;
    caf::message_id question;
    caf::actor_clock::time_point since;
  };

  /// Askers and the transport meet here for each message: with one lock for all requests they would wait for each
  /// other, and with memory of its own for each request they would meet in the allocator.
  struct alignas(64) shard {
    std::mutex guard;
    std::vector<waiting> places;
    std::vector<std::size_t> free;
  };

  /// Makes `what` a request of this channel's own; false when the channel was cut or too much is under way.
  bool take_over(caf::mailbox_element& what);
  caf::error refusal() const;
  void hand_back(caf::mailbox_element_ptr answer, caf::execution_unit* where);
  void fail(const waiting& whom, caf::error why);
  /// Takes those out that `wanted` holds for.
  template <class F>
  std::vector<waiting> take_out(F wanted);

  /// Nobody has looked yet whether the actor is there; who asks meanwhile waits.
  enum class condition : std::uint8_t { awaited, connected, cut };
  /// Keeps what comes before anybody knows where to. False when that is known by now.
  bool hold(caf::mailbox_element_ptr& what);

  const limits bounds_;
  node::aim target_;
  /// Read under a shard's lock: after a cut emptied a shard, nothing is put into it any more.
  std::atomic<condition> condition_ = condition::awaited;
  std::atomic<std::size_t> outstanding_ = 0;
  std::atomic<std::uint64_t> asked_ = 0;
  const std::unique_ptr<shard[]> shards_;
  mutable std::mutex guard_;
  std::string why_cut_;
  std::vector<caf::mailbox_element_ptr> held_;
};

/// The way in from an authenticated peer to one local actor: lets through only what the table of trust permits.
class gate : public relay {
public:
  /// Told of each message that was refused.
  using refused = std::function<void(const std::string& message)>;

  /// `who` is the authenticated peer; it may speak for itself only, unless it is a controller.
  gate(caf::actor_config& config, caf::actor inside, claim who, refused tell);

  void enqueue(caf::mailbox_element_ptr what, caf::execution_unit* where) override;
  caf::actor_control_block* pass(caf::mailbox_element_ptr& what, caf::execution_unit* where) override;

  /// Lets nothing through any more.
  void close();

private:
  /// Whether it can go on to `to`; otherwise it was answered.
  bool admit(caf::actor_control_block* to, caf::mailbox_element& what, caf::execution_unit* where);

  node::aim inside_;
  /// What is inside, if it is a relay itself; it lives as long as the gate is open.
  relay* const next_;
  const claim who_;
  const sender kind_;
  const refused tell_;
};

/// Makes a relay of any kind in `system`; it lives as long as somebody holds it or a handle to it.
template <class Relay, class... Arguments>
std::shared_ptr<Relay> make_relay(caf::actor_system& system, Arguments&&... arguments) {
  auto config = caf::actor_config{};
  auto handle = caf::make_actor<Relay, caf::strong_actor_ptr>(system.next_actor_id(), system.node(), &system, config,
                                                              std::forward<Arguments>(arguments)...);
  auto* self = static_cast<Relay*>(caf::actor_cast<caf::abstract_actor*>(handle));
  return {self, [handle](Relay*) {}};
}

/// The handle that others use for a relay.
template <class Handle = caf::actor>
Handle handle_of(relay& x) {
  return caf::actor_cast<Handle>(caf::strong_actor_ptr{x.ctrl()});
}

} // namespace novacron::node
