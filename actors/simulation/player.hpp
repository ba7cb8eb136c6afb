#pragma once

/// Plays a scenario: lets virtual time pass, gives orders as a person would, strikes with faults, and keeps the score.

#include "actors/simulation/busiest_second.hpp"
#include "actors/simulation/expression.hpp"
#include "actors/simulation/fault_diary.hpp"
#include "actors/simulation/orders.hpp"
#include "actors/simulation/replay.hpp"
#include "actors/simulation/weather.hpp"
#include "actors/simulation/world_plan.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace novacron::simulation {

class player;

/// A statement that was understood: what it does.
struct step {
  position where;
  std::function<void(player&)> play;
  /// How much virtual time it lets pass, as far as that is known before.
  moment length{0};
};

/// A scenario that was understood as a whole.
struct scenario {
  std::string name;
  world_plan plan;
  std::uint64_t seed = 1;
  std::vector<step> steps;
};

/// How the fabric was at a moment, for the picture.
struct sample {
  moment when{0};
  double running = 0;
  double pending = 0;
  double hosts_up = 0;
  double cpu = 0;
  double memory = 0;
  /// In the busiest second since the sample before.
  double messages = 0;
  double connections = 0;
  double starts = 0;
};

/// How often something happened while a kind of fault was at work: by what happened, and the fault.
using coverage_table = std::map<std::pair<std::string, std::string>, std::uint64_t>;

/// How a run ended.
struct outcome {
  std::string scenario;
  std::uint64_t seed = 0;
  std::uint64_t hash = 0;
  moment virtual_time{0};
  std::uint64_t events = 0;
  std::uint64_t steps = 0;
  post_office::counts messages;
  std::uint64_t orders = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t expectations = 0;
  std::vector<violation> violations;
  std::vector<sample> samples;
  std::vector<incident> incidents;
  /// Of the weather, by number.
  std::vector<std::uint32_t> strikes;
  /// What was asked of the fabric and done to the world, and the messages that arrived.
  coverage_table operations;
  coverage_table arrivals;
  std::vector<std::string> reports;
};

struct play_options {
  std::uint64_t seed = 1;
  /// Faults of the weather that are left out, by number.
  std::set<std::uint32_t> spared;
  /// Called now and then with the virtual time.
  std::function<void(const player&)> progress;
  bool keep_samples = false;
  /// Count also which message met which fault; it costs a look at each.
  bool coverage = false;
};

class player {
public:
  player(const scenario& what, play_options options);
  ~player();

  /// Plays everything, and looks at the rules that always hold.
  outcome play();
  /// Plays everything and stays, for those who want to look around.
  void play_on();
  /// Plays what was said afterwards.
  void play_more(const std::vector<step>& steps);
  /// The virtual time that is still to pass, as far as the scenario says.
  moment ahead() const;
  outcome result();

  // -- what steps do
  void advance(moment length);
  void until(const expression& what, moment limit, const position& where, const std::string& text);
  void expect(const expression& what, const position& where, const std::string& text);
  void every(moment period, std::vector<step> steps);
  void end_every() { recurring_.clear(); }
  void report(const std::string& text);
  void submit(const wire::WorkloadSpec& spec);
  void stop(const std::string& workload, bool forget);
  void drain(const host_set& whom, bool drained);
  void forget_node(const host_set& whom);
  void cut(const host_set& a, const host_set& b, bool one_way, const std::string& name);
  void heal(const std::string& name);
  void crash(const host_set& whom, bool torn);
  void kill(const host_set& whom);
  void restart(const host_set& whom);
  void slow(const host_set& whom, std::uint32_t times);
  void fill_disk(const host_set& whom, bool full);
  void skew(const host_set& whom, moment offset, std::int64_t drift_ppm);
  void shape(const host_set& a, const host_set& b, const way_quality& quality);
  void behave(const std::string& image, const image_behavior& how);
  void begin_weather(const climate& what, moment length);
  /// From now on the jobs come, each at its time.
  void replay(const std::vector<traced_job>& jobs);
  /// Some of the hosts, drawn.
  host_set some_of(const host_set& whom, std::size_t count);

  world& here() { return *world_; }
  const world& here() const { return *world_; }
  const scenario& what() const { return what_; }
  std::optional<value> fact(const std::string& name);
  /// The shares of all processors and of all memory that what runs has reserved.
  std::pair<double, double> reserved() const;
  /// What is wanted and does not run, or runs and is not wanted, in words; empty when all is as it shall be.
  std::string unsettled() const;
  /// The names of all facts, with `*` for any word.
  static const std::vector<std::string>& facts();
  /// All that can meet a fault: what people ask of the fabric, and what is done to the world.
  static const std::vector<std::string>& operations();

private:
  struct recurring {
    moment period{0};
    moment next{0};
    std::vector<step> steps;
  };
  void run_steps(const std::vector<step>& steps);
  void pass_until(moment when);
  void look();
  /// What is known of facts, and what else of them is worth to know.
  std::string in_words(const std::string& facts) const;
  void begin_strike(const strike& x);
  void end_strike(const strike& x);
  /// A fault begins, and is an operation itself.
  void begin_fault(const std::string& what, const std::string& whom, const std::string& name, const host_set& hosts);
  void end_fault(const std::string& name);
  void end_fault_on(const std::string& what, const host_set& hosts);
  void watch_rush();
  void arrive(const traced_job& x);
  void leave(const std::string& job);
  void note(coverage_table& into, const std::string& what) const;
  void note_operation(const std::string& what) { note(score_.operations, what); }
  void check_rules();
  void settle();
  bool disturbed() const;
  std::string names_of(const host_set& whom) const;
  /// Asks the scheduler until it answers with something that is not "not now"; nothing when it does not in time.
  template <class Answer, class Order>
  caf::expected<Answer> order(const Order& what);

  const scenario& what_;
  play_options options_;
  std::unique_ptr<world> world_;
  order_book orders_;
  std::vector<recurring> recurring_;
  std::vector<strike> weather_;
  std::multimap<moment, strike> ends_;
  std::vector<std::uint32_t> struck_;
  fault_diary faults_;
  /// What is still to come of traces, in the order of time.
  std::multimap<moment, traced_job> coming_;
  /// When to look whether a job of a trace is over, to forget it then.
  std::multimap<moment, std::string> leaving_;
  std::uint64_t jobs_came_ = 0;
  /// Those that ended well and are forgotten.
  std::uint64_t jobs_forgotten_ = 0;
  std::map<std::string, std::string> specs_;
  struct passed {
    moment now{0};
    std::uint64_t messages = 0;
    std::uint64_t connections = 0;
    std::uint64_t starts = 0;
  };
  struct rush {
    void begin(const passed& x);
    void look(const passed& x);
    busiest_second messages;
    busiest_second connections;
    busiest_second starts;
  };
  passed rush_now() const;
  /// Since a fault began or ended, and since the last sample.
  rush rush_;
  rush rush_of_sample_;
  moment next_second_{0};
  outcome score_;
  moment next_look_{0};
  moment look_every_ = std::chrono::seconds{1};
  std::uint64_t sequence_ = 0;
  std::uint32_t strikes_drawn_ = 0;
  bool playing_ = false;
  bool stormy_ = false;
  moment length_{0};
  moment length_played_{0};
  moment step_began_{0};
  moment step_length_{0};
};

} // namespace novacron::simulation
