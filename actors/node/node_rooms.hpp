#pragma once

/// Which actors a role is made of, and how each is started.

#include "actors/host/certificate.hpp"
#include "actors/host/loop.hpp"
#include "actors/host/metrics.hpp"
#include "actors/node/configuration.hpp"
#include "actors/node/supervisor_actor.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/container_driver.hpp"
#include "actors/workload/image_store.hpp"
#include "actors/workload/machine_driver.hpp"

namespace novacron::node {

/// What the rooms share. Everything referred to outlives them.
struct room_surroundings {
  caf::actor_system& system;
  host::loop& loop;
  directory& names;
  const configuration& settings;
  const node_settings& self;
  /// Our own executable, for the ledger's process.
  std::string program;
  wire::NodeFacts facts;
  std::shared_ptr<host::deny_list> denied;
  std::shared_ptr<host::metrics> numbers;
  /// Counts a peer that was not let in; any thread may call it.
  std::function<void(const std::string& why, const std::string& text)> refused;
};

/// The rooms of one node. Every role has observer, credentials and images; controllers have ledger, scheduler and
/// authority; nodes that host workloads have an agent, templates and checkpoints.
class node_rooms {
public:
  explicit node_rooms(room_surroundings around);
  ~node_rooms();

  /// In the order in which they start.
  std::vector<room> all();

  /// Who is told of links that come and go.
  std::vector<caf::actor> link_watchers();

  /// Ends what is not supervised.
  void end();

private:
  room ledger();
  room compass();
  room scheduler();
  room functions();
  room authority();
  room credentials();
  room images();
  room agent();
  room templates();
  room checkpoints();
  room observer();
  workload::image_access image_access() const;
  std::shared_ptr<workload::guest_mover> guest_mover();
  /// Tells an actor that was started just now who is there already.
  void introduce(const caf::actor& newcomer) const;

  room_surroundings around_;
  std::shared_ptr<workload::image_store> store_;
  std::shared_ptr<workload::machine_templates> templates_;
  std::shared_ptr<workload::machine_checkpoints> checkpoints_;
  std::shared_ptr<workload::machine_driver> machines_;
  std::shared_ptr<workload::driver> driver_;
  std::shared_ptr<workload::guest_mover> mover_;
  /// Tells the incarnations of an actor apart for the ledger.
  std::uint64_t starts_ = 0;
};

} // namespace novacron::node
