#pragma once

/// Spawns the actor of one instance: it starts it, watches it, starts it again, and ends it.

#include "actors/host/crew.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/guest_mover.hpp"
#include "messages/registry.hpp"

#include <caf/actor_addr.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/typed_actor.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace novacron::workload {

/// What an actor of this room tells itself from another thread; it never leaves the process.
struct turn {
  std::function<void()> work;
};

/// What an instance tells its agent.
struct instance_news {
  wire::InstanceStatus status;
  /// Nothing of it is left on this node.
  bool gone = false;
  /// Worth a report at once; else only figures changed.
  bool urgent = false;
  /// What it is from now on, where that has changed: it was converted.
  std::optional<wire::Instance> now;
};

/// What runs is the same as before, and only called otherwise from now on: another generation of its workload.
struct relabelled {
  wire::Instance as;
};

/// Ends the instance and removes it; `instance_news` with `gone` follows.
using remove_atom = caf::atom_constant<caf::atom("remove")>;
/// Keeps the instance stopped until it is woken or removed, if nothing of it runs now.
using park_atom = caf::atom_constant<caf::atom("park")>;
using wake_atom = caf::atom_constant<caf::atom("wake")>;

/// Where the instance shall go, or that it is to stay or has come to stay: its move as it is assigned now.
struct move_news {
  wire::Instance now;
};

} // namespace novacron::workload

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::turn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::instance_news)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::relabelled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::workload::move_news)

// Local to the process, but checked as every message type is; far above the block of the language.
CAF_BEGIN_TYPE_ID_BLOCK(novacron_workload, caf::id_block::novacron::end + 200)
CAF_ADD_TYPE_ID(novacron_workload, (novacron::workload::turn))
CAF_ADD_TYPE_ID(novacron_workload, (novacron::workload::instance_news))
CAF_ADD_TYPE_ID(novacron_workload, (novacron::workload::relabelled))
CAF_ADD_TYPE_ID(novacron_workload, (novacron::workload::move_news))
CAF_END_TYPE_ID_BLOCK(novacron_workload)

namespace novacron::workload {

using instance_actor = caf::typed_actor<caf::replies_to<wire::LogRequest>::with<wire::LogChunk>,
                                        caf::replies_to<wire::ExecStart>::with<wire::ExecSession>,
                                        caf::replies_to<wire::ExecExchange>::with<wire::ExecOutput>,
                                        caf::replies_to<wire::PauseInstance>::with<wire::Done>,
                                        caf::replies_to<wire::ResizeInstance>::with<wire::Done>,
                                        caf::replies_to<wire::RestartInstance>::with<wire::Done>,
                                        caf::replies_to<wire::ConvertInstance>::with<wire::Converted>,
                                        caf::replies_to<wire::CheckpointInstance>::with<wire::Checkpoint>,
                                        caf::replies_to<wire::RestoreInstance>::with<wire::Restored>,
                                        caf::replies_to<wire::CallInstance>::with<wire::Invoked>,
                                        caf::reacts_to<remove_atom>, caf::reacts_to<park_atom>,
                                        caf::reacts_to<wake_atom>, caf::reacts_to<relabelled>,
                                        caf::reacts_to<move_news>, caf::reacts_to<turn>>;

struct instance_order {
  /// What shall run; with `former.alive` it does already.
  leftover former;
  /// Whether there was a former life at all.
  bool known = false;
  std::string node;
  std::shared_ptr<workload::driver> driver;
  image_access images;
  /// Null where nothing is moved while it runs.
  std::shared_ptr<guest_mover> mover;
  std::shared_ptr<host::crew> workers;
  /// Only where `images` can fetch.
  std::shared_ptr<host::crew> fetchers;
  std::function<void(instance_news)> tell;
  /// The actor ends with this one; what it runs does not.
  caf::actor_addr agent;
  /// How often figures are taken.
  duration figures_interval = std::chrono::seconds{2};
};

instance_actor spawn_instance(caf::actor_system& system, instance_order order);

} // namespace novacron::workload
