#include "actors/workload/instance_format_actor.hpp"

#include "actors/workload/conversion.hpp"
#include "actors/workload/instance_exec_actor.hpp"
#include "actors/workload/instance_move_actor.hpp"

#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

/// What was asked of it meanwhile, or has happened to it.
void catch_up(instance_self self, const std::optional<ended>& how) {
  auto& s = self->state;
  if (how)
    return run_over(self, *how);
  if (!s.unhealthy.empty())
    return end_run(self, s.unhealthy);
  if (s.aim != instance_state::goal::run)
    end_run(self, "stops");
}

void is_converted(instance_self self, const wire::Instance& to, const running& now) {
  auto& s = self->state;
  s.run = std::exchange(s.next_run, 0);
  s.ended_meanwhile.reset();
  s.unhealthy.clear();
  s.what = to;
  s.status.set_kind(to.spec().kind());
  s.output.reset();
  end_sessions(self);
  s.order.tell({s.status, false, false, to});
  // As if it had been taken over: neither its start nor its restarts begin anew.
  s.status.set_phase(wire::PHASE_RUNNING);
  const auto how = std::exchange(s.next_ended, {});
  took_off(self, now);
  if (how)
    run_over(self, *how);
}

void is_not_converted(instance_self self, wire::WorkloadKind to, const trouble& why) {
  auto& s = self->state;
  s.next_run = 0;
  s.next_ended.reset();
  enter(self, wire::PHASE_RUNNING, fmt::format("could not become a {}, and runs on: {}", word_of(to), why.text));
  catch_up(self, std::exchange(s.ended_meanwhile, {}));
  set_out(self);
}

/// Gives an answer of the driver to the actor, on its own thread.
void change_format(instance_self self, const wire::ConvertInstance& x, const wire::Instance& to,
                   caf::typed_response_promise<wire::Converted> promise) {
  auto& s = self->state;
  const auto go = turn_of(self);
  const auto run = s.next_run;
  const auto done = [=, answer = announce_conversion(s.what, s.order.node, x)](const outcome<converted>& became) {
    go([=]() mutable {
      if (!became) {
        if (!x.only_check())
          is_not_converted(self, x.to(), became.why());
        promise.deliver(caf::make_error(became.why().kind, became.why().text));
        return;
      }
      if (!x.only_check())
        is_converted(self, to, became->now);
      answer.set_frozen_ms(static_cast<std::uint64_t>(became->frozen.count()));
      promise.deliver(answer);
    });
  };
  const auto end = [=](const ended& how) {
    go([=] {
      auto& s = self->state;
      if (s.next_run == run)
        s.next_ended = how;
      else if (s.run == run && s.next_run != 0)
        s.ended_meanwhile = how;
      else if (s.run == run)
        run_over(self, how);
    });
  };
  s.order.workers->give([=, images = s.order.images, driver = s.order.driver, status = s.status] {
    const auto image = images.acquire(to.spec().program().image(), to.name());
    if (!image)
      return done(image.why());
    if (!x.only_check())
      return driver->convert({to, status, *image}, done, end);
    if (const auto refusal = driver->why_unconvertible(to.name()); !refusal.empty())
      return done(trouble{fault::bad_request, refusal});
    const auto could = driver->examine(to, *image);
    done(could ? outcome<converted>{converted{}} : outcome<converted>{could.why()});
  });
}

} // namespace

caf::result<wire::Converted> convert(instance_self self, const wire::ConvertInstance& x) {
  auto& s = self->state;
  if (auto refusal = refuse_conversion(s.what.spec(), x.to()); !refusal.empty())
    return caf::make_error(fault::bad_request, std::move(refusal));
  if (auto busy = on_the_move(self); !busy.empty())
    return caf::make_error(fault::conflict, std::move(busy));
  if (s.status.phase() != wire::PHASE_RUNNING || !s.busy || s.next_run != 0)
    return caf::make_error(fault::conflict,
                           s.what.name() + " does not run; only what runs can change its format with its files");
  auto to = s.what;
  to.mutable_spec()->set_kind(x.to());
  auto promise = self->make_response_promise<wire::Converted>();
  if (!x.only_check()) {
    s.next_run = ++s.run_count;
    enter(self, wire::PHASE_MIGRATING, fmt::format("becomes a {}", word_of(x.to())));
  }
  change_format(self, x, to, promise);
  return promise;
}

/// Another generation of its workload that says what it is already.
void relabel(instance_self self, const wire::Instance& as) {
  auto& s = self->state;
  s.what = as;
  s.status.set_generation(as.generation());
  if (s.status.kind() == as.spec().kind())
    s.status.clear_kind();
  write_down(self);
  tell(self, true);
}

} // namespace novacron::workload
