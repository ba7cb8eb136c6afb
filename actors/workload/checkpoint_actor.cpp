#include "actors/workload/checkpoint_actor.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <system_error>
#include <utility>

namespace novacron::workload {
namespace {

struct checkpoint_state {
  static inline const char* name = "checkpoints";

  std::shared_ptr<machine_driver> machines;
  std::shared_ptr<machine_checkpoints> checkpoints;
};

using self_pointer = checkpoint_actor::stateful_pointer<checkpoint_state>;

caf::result<wire::CheckpointList> list(self_pointer self) {
  try {
    auto all = wire::CheckpointList{};
    for (auto& each : self->state.machines->checkpoints())
      *all.add_checkpoints() = std::move(each);
    return all;
  } catch (const std::system_error& problem) {
    return caf::make_error(fault::storage, std::string{problem.what()});
  }
}

caf::result<wire::Done> remove(self_pointer self, const std::string& name) {
  const auto gone = self->state.checkpoints->remove(name);
  if (!gone)
    return caf::make_error(gone.why().kind, gone.why().text);
  return wire::Done{};
}

checkpoint_actor::behavior_type behave(self_pointer self, std::shared_ptr<machine_driver> machines,
                                       std::shared_ptr<machine_checkpoints> checkpoints) {
  self->state.machines = std::move(machines);
  self->state.checkpoints = std::move(checkpoints);
  return {
      [=](const wire::CheckpointListRequest&) { return list(self); },
      [=](const wire::CheckpointDelete& x) { return remove(self, x.name()); },
  };
}

} // namespace

checkpoint_actor spawn_checkpoint_actor(caf::actor_system& system, std::shared_ptr<machine_driver> machines,
                                        std::shared_ptr<machine_checkpoints> checkpoints) {
  return system.spawn<caf::detached>(behave, std::move(machines), std::move(checkpoints));
}

} // namespace novacron::workload
