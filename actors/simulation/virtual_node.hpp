#pragma once

/// The node process on a virtual host: the shipping rooms, composed with virtual time, chance, network, disk and
/// machines.

#include "actors/node/directory.hpp"
#include "actors/node/link_actor.hpp"
#include "actors/node/supervisor_actor.hpp"
#include "actors/simulation/machine.hpp"
#include "actors/simulation/plant.hpp"
#include "actors/simulation/post_office.hpp"
#include "actors/simulation/seal.hpp"
#include "actors/simulation/voters.hpp"

#include <memory>
#include <string>
#include <vector>

namespace novacron::simulation {

/// What all nodes of a world have in common.
struct node_config {
  node::pulse_config pulse;
  duration report_interval = std::chrono::seconds{2};
  duration patience = std::chrono::seconds{5};
  std::string policy = "balance";
  plant planted = plant::none;
};

/// What a node needs of the world. Everything referred to outlives it.
struct node_surroundings {
  caf::actor_system& system;
  director& stage;
  post_office& post;
  voters& truth;
  seal& notary;
  host::deny_list& denied;
  std::map<std::string, image_behavior>& images;
  std::mt19937_64& chance;
  run_watcher& witness;
  const node_config& settings;
  /// The wall clock of a host, milliseconds.
  std::function<std::int64_t(const machine&)> wall_ms;
  /// Whom this node dials, by name.
  std::vector<std::string> joins;
  /// All controllers.
  std::vector<std::string> controllers;
};

class virtual_node {
public:
  /// Starts the node on `on`, whose life has begun.
  virtual_node(node_surroundings around, machine& on);
  /// To be called when its actors are dead.
  ~virtual_node();

  node::directory& names() { return names_; }
  life_number life() const { return life_; }

private:
  std::vector<node::room> rooms();
  node::room ledger();
  node::room compass();
  node::room scheduler();
  node::room agent();
  node::neighbourhood neighbours();
  wire::NodeFacts facts() const;
  void introduce(const caf::actor& newcomer) const;
  std::uint64_t drawn() { return around_.chance(); }

  node_surroundings around_;
  machine& on_;
  life_number life_;
  node::directory names_;
  std::shared_ptr<virtual_driver> driver_;
  caf::actor supervisor_;
  caf::actor threshold_;
  std::uint64_t starts_ = 0;
};

} // namespace novacron::simulation
