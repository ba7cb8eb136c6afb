#include "actors/scheduler/scheduler_assigning_actor.hpp"

#include <utility>
#include <variant>

namespace novacron::scheduler {
namespace {

void delivered(scheduler_self self, const std::string& node, const outbox::verdict& now) {
  if (now.more)
    deliver(self, node);
  deliver_next(self);
  if (!now.delivered)
    return;
  self->state.book->delivered(node, *now.delivered);
  assign(self);
}

void after_pause(scheduler_self self, const std::string& node, unsigned attempts) {
  if (attempts > 0)
    self->delayed_send(self, backoff(self, attempts), assign_again{node});
}

void not_delivered(scheduler_self self, const std::string& node, std::uint64_t number, bool change,
                   const caf::error& problem) {
  auto& x = self->state;
  // What it was to change may not be what the node has.
  if (!change || explain(problem).kind != fault::conflict)
    after_pause(self, node, x.deliveries.failed(node, number));
  else if (x.deliveries.astray(node, number))
    assign_anew(self, node);
  deliver_next(self);
}

} // namespace

void assign_anew(scheduler_self self, const std::string& node) {
  self->state.book->undelivered(node);
  assign(self);
}

void deliver(scheduler_self self, const std::string& node) {
  auto& x = self->state;
  if (!x.book->present(node)) {
    if (x.deliveries.drop(node))
      x.book->undelivered(node);
    return;
  }
  const auto agent = x.agent_of(node);
  if (!agent)
    return after_pause(self, node, x.deliveries.postpone(node));
  auto next = x.deliveries.take(node, self->clock().now());
  if (!next)
    return;
  const auto number = next->number;
  const auto change = std::holds_alternative<wire::AssignChange>(next->what);
  const auto send = [&](auto& what) {
    self->request(agent, x.settings.answer_max, std::move(what))
        .then([=](const wire::Done&) { delivered(self, node, self->state.deliveries.done(node, number)); },
              [=](caf::error& problem) { not_delivered(self, node, number, change, problem); });
  };
  std::visit(send, next->what);
}

void deliver_next(scheduler_self self) {
  while (const auto node = self->state.deliveries.next(self->clock().now()))
    deliver(self, *node);
}

void assign(scheduler_self self) {
  auto& x = self->state;
  for (auto again = true; std::exchange(again, false);)
    for (auto& what : x.book->assign()) {
      const auto node = std::visit([](const auto& each) { return each.node(); }, what);
      if (x.deliveries.put(std::move(what))) {
        deliver(self, node);
      } else {
        x.book->undelivered(node);
        again = true;
      }
    }
  deliver_next(self);
}

} // namespace novacron::scheduler
