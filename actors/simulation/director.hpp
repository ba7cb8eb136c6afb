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
#include <random>

namespace novacron::simulation {

/// What the director knows of a life.
struct life {
  caf::node_id id;
  /// Which host it is a life of.
  std::uint32_t host = 0;
  caf::proxy_registry* proxies = nullptr;
  bool over = false;
  /// How much virtual time one step takes; 0 on a host that is well.
  moment step{0};
  bool stuck = false;
  moment busy_until{0};
  /// Jobs that wait for a slow or stuck host.
  std::deque<caf::resumable*> waiting;
  bool awaited = false;
  /// How its monotonic clock runs: a millionth part per unit, and what it showed at `drift_since`.
  std::int64_t drift_ppm = 0;
  moment drift_since{0};
  moment local_then{0};
  std::vector<caf::weak_actor_ptr> actors;
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
  void plan(moment when, event what) { agenda_.plan(when, std::move(what)); }
  /// What a life's monotonic clock shows.
  moment local_time(life_number which) const;
  void drift(life_number which, std::int64_t ppm);

  // -- running
  /// Does everything until `end`, or until `enough` says so after a step. Returns whether it did.
  bool run_until(moment end, const std::function<bool()>& enough = {});
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

  life_number life_of(caf::resumable* job) const;
  void run(caf::resumable* job);
  bool run_job();
  void happen(event x);
  void play(caf::resumable* job, life_number whose);
  /// Sees to it that the next job of a slow host is done in time.
  void await(life_number whose);
  void drain(life_number which);

  std::vector<life> lives_;
  std::deque<caf::resumable*> jobs_;
  /// Jobs of a life that is ending.
  std::deque<caf::resumable*> last_jobs_;
  std::vector<bool> met_;
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
