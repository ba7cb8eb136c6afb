#include "actors/workload/instance_move_actor.hpp"

#include "actors/host/log.hpp"
#include "actors/workload/assignment.hpp"

#include <signal.h>

#include <string>
#include <utility>
#include <vector>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

/// Between attempts to have a guest go on whose machine does not answer.
constexpr auto arrive_again = 100ms;

void give_up(instance_self self, const std::string& why) {
  auto& s = self->state;
  s.failed_to_come = why;
  s.order.driver->signal(s.what.name(), SIGKILL, [](outcome<>) {});
}

/// It is decided: what came is this instance now.
void arrived(instance_self self) {
  auto& s = self->state;
  // Its machine ended after it was decided: it begins anew with the disk that it had.
  if (!s.busy)
    return start(self);
  s.order.driver->arrive(s.what, [self, run = s.run, go = turn_of(self)](outcome<> done) {
    go([self, run, done] {
      auto& s = self->state;
      if (s.run != run || !s.busy || s.aim != instance_state::goal::run)
        return;
      if (!done)
        return later(self, arrive_again, [self] { arrived(self); });
      s.status.clear_inlets();
      s.status.set_immovable(s.order.driver->why_immovable(s.what.name()));
      begin_checks(self);
      enter(self, wire::PHASE_RUNNING, "running");
      set_out(self);
    });
  });
}

void departed(instance_self self, const departure& how) {
  auto& s = self->state;
  s.status.clear_progress();
  const auto over = std::exchange(s.over_on_the_way, {});
  // It is being removed: nothing of it may be written down any more.
  if (s.aim == instance_state::goal::remove)
    return;
  // It runs elsewhere; the next assignment removes what is left here.
  if (how.moved)
    return enter(self, wire::PHASE_MIGRATING, "runs elsewhere by now");
  s.moves = false;
  host::log_info("instances", "{} stays: {}", s.what.name(), how.reason);
  if (over)
    return run_over(self, *over);
  if (s.aim != instance_state::goal::run || !s.busy)
    return;
  enter(self, wire::PHASE_RUNNING, "running");
  // Another one may have been asked for meanwhile.
  set_out(self);
}

then<departure> when_departed(instance_self self) {
  return [self, go = turn_of(self)](outcome<departure> how) {
    go([self, how] { departed(self, how ? *how : departure{.moved = false, .reason = how.why().text}); });
  };
}

void depart(instance_self self) {
  auto& s = self->state;
  s.moves = true;
  s.tried = s.what.move().migration();
  s.order.mover->send(
      s.what,
      [self, go = turn_of(self)](const wire::MoveProgress& now) {
        go([self, now] {
          if (!self->state.moves)
            return;
          *self->state.status.mutable_progress() = now;
          tell(self, true);
        });
      },
      when_departed(self));
}

} // namespace

void await_guest(instance_self self, bool adopted) {
  auto& s = self->state;
  enter(self, wire::PHASE_MIGRATING, "waits for its guest");
  // Whoever sent it has lost his connection; what had come by then stays until it is known what becomes of it. Nothing
  // had when nobody was told where to bring it.
  if (adopted && s.status.inlets_size() > 0)
    return;
  if (adopted)
    return give_up(self, "its node was started again meanwhile");
  if (!s.order.mover)
    return give_up(self, "this node takes in nothing that runs");
  s.order.mover->take_in(s.what, [self, run = s.run, go = turn_of(self)](outcome<std::vector<std::string>> where) {
    go([self, run, where] {
      auto& s = self->state;
      if (s.run != run)
        return;
      if (!where)
        return give_up(self, where.why().text);
      s.status.mutable_inlets()->Assign(where->begin(), where->end());
      enter(self, wire::PHASE_MIGRATING, "waits for its guest");
    });
  });
}

void find_out(instance_self self) {
  auto& s = self->state;
  s.moves = true;
  s.tried = s.what.move().migration();
  enter(self, wire::PHASE_MIGRATING, "stands still until it is known where it runs");
  if (s.order.mover)
    s.order.mover->settle(s.what, when_departed(self));
}

void set_out(instance_self self) {
  const auto& s = self->state;
  const auto& move = s.what.move();
  if (s.order.mover && !s.moves && !move.arrives() && move.inlets_size() > 0 && move.migration() != s.tried &&
      s.aim == instance_state::goal::run && s.busy && s.next_run == 0 && !s.writes &&
      s.status.phase() == wire::PHASE_RUNNING)
    depart(self);
}

std::string on_the_move(instance_self self) {
  const auto& s = self->state;
  if (s.writes)
    return "a checkpoint of " + s.what.name() + " is being made; wait until it is";
  if (!s.moves && !s.what.has_move())
    return {};
  return s.what.name() + " is on the move to another node; wait until it is there, or cancel that (`migration list`)";
}

void heed_move(instance_self self, const move_news& news) {
  auto& s = self->state;
  const auto awaited = s.what.move().arrives();
  take_move(s.what, news.now);
  if (awaited && !s.what.has_move())
    return arrived(self);
  if (s.order.mover && s.moves && s.what.move().migration() != s.tried)
    s.order.mover->stop(s.what.name());
  set_out(self);
}

bool ended_on_the_way(instance_self self, const ended& how) {
  auto& s = self->state;
  if (s.moves) {
    s.over_on_the_way = how;
    // Removed, it need not be known.
    return s.aim != instance_state::goal::remove;
  }
  if (!s.what.move().arrives() || s.aim != instance_state::goal::run)
    return false;
  stop_moving(self);
  enter(self, wire::PHASE_FAILED,
        s.failed_to_come.empty() ? "ended before its guest had come: " + how.reason : s.failed_to_come);
  return true;
}

void stop_moving(instance_self self) {
  const auto& s = self->state;
  if (s.order.mover && (s.moves || s.what.move().arrives()))
    s.order.mover->stop(s.what.name());
}

} // namespace novacron::workload
