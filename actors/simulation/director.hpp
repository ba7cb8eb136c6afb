#pragma once

/// Runs every actor of the virtual world, one message at a time, by a clock that only the agenda moves.
///
/// It takes the place of CAF's scheduler. Before each step it gives the actor system the identity of the host whose
/// actor it is, so that one system plays all hosts (guides/caf.md, section 6).

#include "actors/simulation/agenda.hpp"

#include <caf/all.hpp>
#include <caf/detail/type_list.hpp>
#include <caf/proxy_registry.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <deque>
#include <list>
#include <random>

namespace novacron::simulation {

/// What the director knows of a life. What is looked at for every step lies in one line of the cache.
struct alignas(64) life {
  caf::node_id id;
  /// The same, to lend to the actor system without counting references; empty while it is there.
  caf::node_id face;
  caf::proxy_registry* proxies = nullptr;
  /// Which host it is a life of.
  std::uint32_t host = 0;
  bool over = false;
  /// Slower than usual, or not yet done with what came while it was.
  bool hampered = false;
  bool stuck = false;
  bool awaited = false;
  /// How its monotonic clock runs: by how many millionths too fast, and what it showed beyond the world's time at
  /// `drift_since`.
  std::int64_t drift_ppm = 0;
  moment drift_since{0};
  moment ahead{0};

  /// How much virtual time one step takes; 0 on a host that is well.
  moment step{0};
  moment busy_until{0};
  /// Jobs that wait for a slow or stuck host.
  std::list<caf::resumable*> waiting;
  std::vector<caf::weak_actor_ptr> actors;

  /// Whether it does at once what comes.
  bool prompt(moment now) const { return !hampered || (!stuck && waiting.empty() && busy_until <= now); }
};

class director : public caf::scheduler::abstract_coordinator {
public:
  explicit director(caf::actor_system& system);
  ~director() override;

  /// For `caf::actor_system_config::load`.
  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>);

  // -- lives
  /// Begins a life of `host`; its node id is unlike all others.
  life_number begin(std::uint32_t host);
  /// Kills all actors of a life. What they still say is not heard.
  void end(life_number which);
  life& of(life_number which) { return lives_[which]; }
  const life& of(life_number which) const { return lives_[which]; }
  bool alive(life_number which) const { return !lives_[which].over; }
  std::size_t lives() const { return lives_.size(); }
  /// The life that speaks with this node id; 0 for none of ours.
  life_number life_of(const caf::node_id& id) const;
  /// From now on the actor system is this host.
  void become(life_number which);
  life_number now_playing() const { return playing_; }
  void slow_down(life_number which, moment step, bool stuck);

  // -- time
  moment now() const { return now_; }
  void plan(moment delay, life_number whose, std::function<void()> act);
  void plan(moment when, event&& what) { agenda_.plan(when, std::move(what)); }
  /// What a life's monotonic clock shows.
  moment local_time(life_number which) const;
  void drift(life_number which, std::int64_t ppm);

  // -- running
  /// Does everything until `end`, or until `enough` says so after a step. Returns whether it did.
  bool run_until(moment end, const std::function<bool()>& enough = {});
  /// Gives an actor a message. Who has nothing else to do handles it here and now: it would be next anyway, and the way
  /// through mailbox and queue costs as much as the step itself.
  void hand_over(caf::actor_control_block* to, caf::mailbox_element_ptr what);
  /// Carries parcels.
  std::function<void(parcel&)> deliver;
  /// Seeds the order of what happens at the same time. Chance 0 keeps the order.
  void shuffle(std::uint64_t seed, std::uint32_t one_in);

  // -- what happened
  std::uint64_t steps() const { return steps_; }
  std::uint64_t timers() const { return timers_; }
  std::uint64_t trace() const { return trace_; }
  /// Takes something that happened into the trace.
  void note(std::uint64_t x) {
    trace_ = (trace_ ^ x) * 0x9E3779B97F4A7C15ull;
    trace_ ^= trace_ >> 29;
  }
  void note(const char* bytes, std::size_t size);
  /// The outside of an actor: somebody who waits in the loop for it to be done.
  caf::execution_unit& unit();

  // -- of CAF
  void enqueue(caf::resumable* job) override;
  bool detaches_utility_actors() const override { return false; }
  caf::actor_clock& clock() noexcept override;

protected:
  void start() override;
  void stop() override;

private:
  class clock_face;
  class stand;

  struct job {
    caf::resumable* what;
    life_number whose;
  };

  job meet(caf::resumable* what);
  void begin_step(life_number whose);
  /// Has an actor handle the only message that waits for it; false when there is another number of them. CAF's own way
  /// goes in turns through four queues for each step.
  bool run_only(caf::scheduled_actor& who);
  void run(caf::resumable* what);
  bool run_job();
  void happen(event&& x);
  void play(job x);
  /// Sees to it that the next job of a slow host is done in time.
  void await(life_number whose);
  void drain(life_number which);

  std::vector<life> lives_;
  std::deque<job> jobs_;
  /// Jobs of a life that is ending.
  std::deque<job> last_jobs_;
  /// Whose each actor is that ever ran, by its number; 0 for all others.
  std::vector<life_number> actors_;
  agenda agenda_;
  moment now_{0};
  life_number playing_ = 0;
  std::unique_ptr<clock_face> clock_;
  std::unique_ptr<stand> unit_;
  std::minstd_rand chance_;
  std::uint32_t shuffle_one_in_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t timers_ = 0;
  std::uint64_t trace_ = 0x243F6A8885A308D3ull;
};

} // namespace novacron::simulation
