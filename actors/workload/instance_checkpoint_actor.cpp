#include "actors/workload/instance_checkpoint_actor.hpp"

#include "actors/workload/checkpoint.hpp"
#include "actors/workload/instance_move_actor.hpp"

#include <signal.h>

#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

/// Why nothing of that can be done now; an error of no kind when it can.
caf::error refuse_now(instance_self self, bool also_paused) {
  const auto& s = self->state;
  const auto& name = s.what.name();
  if (auto refusal = refuse_checkpoint(s.what.spec(), false); !refusal.empty())
    return caf::make_error(fault::bad_request, std::move(refusal));
  if (auto busy = on_the_move(self); !busy.empty())
    return caf::make_error(fault::conflict, std::move(busy));
  if (s.restoring)
    return caf::make_error(fault::conflict, name + " is just being put back to a checkpoint");
  const auto runs = s.status.phase() == wire::PHASE_RUNNING || (also_paused && s.status.phase() == wire::PHASE_PAUSED);
  if (!runs || !s.busy || s.next_run != 0 || s.aim != instance_state::goal::run)
    return caf::make_error(fault::conflict,
                           name + " does not run; only what runs " +
                               (also_paused ? "can be put back to a checkpoint where it is"
                                            : "can be written down (`instance resume` what is paused)"));
  return {};
}

void written(instance_self self, std::uint64_t run, bool paused) {
  auto& s = self->state;
  s.writes = false;
  if (paused && s.run == run && s.busy && s.status.phase() == wire::PHASE_RUNNING)
    enter(self, wire::PHASE_PAUSED, "paused");
  set_out(self);
}

/// It has all that it needs to begin from it: what runs has to make room.
void go_back(instance_self self, std::uint64_t run, const std::string& to,
             caf::typed_response_promise<wire::Restored> promise) {
  auto& s = self->state;
  if (s.run != run || !s.busy || s.aim != instance_state::goal::run || s.restoring) {
    promise.deliver(caf::make_error(fault::conflict, s.what.name() +
                                                         " has ended meanwhile; it is started again from "
                                                         "checkpoint " +
                                                         to + " if it is started at all"));
    return;
  }
  s.restoring = promise;
  s.restore_began = self->clock().now();
  s.restore_from = to;
  s.aim = instance_state::goal::restart;
  enter(self, wire::PHASE_STOPPING, "goes back to checkpoint " + to);
  // What it has done since then is lost anyway: it need not say goodbye.
  s.order.driver->signal(s.what.name(), SIGKILL, [](outcome<>) {});
}

} // namespace

caf::result<wire::Checkpoint> checkpoint(instance_self self, const wire::CheckpointInstance& x) {
  if (auto refusal = refuse_now(self, false))
    return refusal;
  auto& s = self->state;
  s.writes = true;
  auto promise = self->make_response_promise<wire::Checkpoint>();
  s.order.driver->checkpoint(s.what.name(), {x.name(), x.pause()},
                             [=, run = s.run, pause = x.pause(), go = turn_of(self)](outcome<wire::Checkpoint> made) {
                               go([=]() mutable {
                                 written(self, run, pause && made);
                                 if (made)
                                   promise.deliver(*made);
                                 else
                                   promise.deliver(caf::make_error(made.why().kind, made.why().text));
                               });
                             });
  return promise;
}

caf::result<wire::Restored> restore(instance_self self, const wire::RestoreInstance& x) {
  if (auto refusal = refuse_now(self, true))
    return refusal;
  auto& s = self->state;
  auto promise = self->make_response_promise<wire::Restored>();
  s.order.driver->set_back(s.what.name(), x.checkpoint(),
                           [=, run = s.run, to = x.checkpoint(), go = turn_of(self)](outcome<> ready) {
                             go([=]() mutable {
                               if (ready)
                                 go_back(self, run, to, promise);
                               else
                                 promise.deliver(caf::make_error(ready.why().kind, ready.why().text));
                             });
                           });
  return promise;
}

void is_restored(instance_self self) {
  auto& s = self->state;
  if (!s.restoring)
    return;
  auto promise = *std::exchange(s.restoring, std::nullopt);
  auto answer = wire::Restored{};
  answer.set_instance(s.what.name());
  answer.set_node(s.order.node);
  answer.set_checkpoint(s.restore_from);
  const auto passed = self->clock().now() - s.restore_began;
  answer.set_frozen_ms(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(passed).count()));
  promise.deliver(answer);
}

void is_not_restored(instance_self self, const std::string& why) {
  auto& s = self->state;
  if (!s.restoring)
    return;
  auto promise = *std::exchange(s.restoring, std::nullopt);
  promise.deliver(caf::make_error(
      fault::unspecified, fmt::format("{} was ended and does not run from checkpoint {}: {}; it is tried again as "
                                      "its `restart` says",
                                      s.what.name(), s.restore_from, why)));
}

} // namespace novacron::workload
