#pragma once

/// The virtual world: hosts, their network and their clocks, on which the shipping actors play.

#include "actors/simulation/virtual_node.hpp"
#include "actors/simulation/witness.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace novacron::simulation {

struct world_config {
  std::uint64_t seed = 1;
  node_config nodes;
  post_config post;
  voters_config voters;
  /// One in so many steps is swapped with another of the same moment; 0 keeps the order.
  std::uint32_t shuffle_one_in = 16;
  /// What the wall clocks show when the world begins, milliseconds since 1970.
  std::int64_t wall_ms = 1'767'225'600'000;
  plant planted = plant::none;
};

/// A host as it is asked for.
struct host_plan {
  std::string name;
  std::string role = "edge";
  std::string zone;
  std::string region;
  std::map<std::string, std::string> labels;
  wire::Resources capacity;
  bool workloads = true;
  std::vector<std::string> joins;
};

class world {
public:
  explicit world(world_config settings);
  ~world();
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  // -- hosts
  machine& add(const host_plan& plan);
  /// Switches on every host that was added and does not run yet.
  void start();
  machine* find(std::string_view name);
  std::deque<machine>& machines() { return machines_; }
  const std::deque<machine>& machines() const { return machines_; }
  /// The power of a host goes: its runs end, what was not synced is lost, peers notice by silence.
  void crash(machine& on, bool torn = false);
  /// Only the node process ends; what it ran goes on.
  void kill(machine& on);
  void restart(machine& on);
  void slow_down(machine& on, std::uint32_t times);
  void skew(machine& on, moment offset, std::int64_t drift_ppm);

  // -- the network; changes count at once
  network& wires() { return wires_; }
  const network& wires() const { return wires_; }
  void rewire() { post_->recheck(); }

  // -- time
  moment now() const { return stage_->now(); }
  void advance(moment length);
  /// Until `enough` says so; false when `limit` comes first.
  bool advance_until(moment limit, const std::function<bool()>& enough);
  std::int64_t wall_ms(const machine& on) const;

  // -- talking to it
  /// Asks actors of the fabric, as a person on the host `at` would; time passes until the answers are there.
  /// What has no answer at the end of `patience` is waited for in silence: see `unanswered`.
  std::vector<caf::expected<caf::message>> ask(machine& at, const std::vector<std::string>& actors,
                                               const caf::message& question, moment patience);
  /// Questions that got neither an answer nor an error, although their time was over long ago and their host lived on.
  std::vector<std::string> unanswered();
  /// A controller that runs, the one that leads if there is one; null when none does.
  machine* controller();
  virtual_node* node_of(const machine& on);

  // -- what there is to know
  director& stage() { return *stage_; }
  post_office& post() { return *post_; }
  voters& truth() { return *voters_; }
  const voters& truth() const { return *voters_; }
  witness& watch() { return witness_; }
  const witness& watch() const { return witness_; }
  std::map<std::string, image_behavior>& images() { return images_; }
  std::mt19937_64& chance() { return chance_; }
  const world_config& settings() const { return settings_; }

private:
  struct language;
  void bring_up(machine& on);
  bool is_leaving(const std::string& instance, std::uint64_t epoch) const;
  void bring_down(machine& on, bool power_lost, bool torn);

  world_config settings_;
  std::unique_ptr<language> language_;
  std::unique_ptr<caf::actor_system> system_;
  director* stage_ = nullptr;
  std::mt19937_64 chance_;
  network wires_;
  seal seal_;
  host::deny_list denied_;
  std::map<std::string, image_behavior> images_;
  std::deque<machine> machines_;
  std::map<std::string, host_number, std::less<>> by_name_;
  /// Whom each host dials.
  std::vector<std::vector<std::string>> joins_;
  witness witness_;
  std::unique_ptr<post_office> post_;
  std::unique_ptr<voters> voters_;
  std::vector<std::unique_ptr<virtual_node>> nodes_;
  struct open_question;
  std::vector<open_question> open_;
};

} // namespace novacron::simulation
