#include "actors/scheduler/move_rules.hpp"
#include "actors/scheduler/orders.hpp"

#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: a move has a handful of passes; a source that says otherwise fills no ledger.
constexpr auto course_max = 64;

/// The instance while it is on this very move; null when it is not, or not any more.
const wire::Instance* on_the_move(const truth& now, const wire::Migration& what) {
  const auto* x = now.find_instance(what.instance());
  return x && x->has_move() && x->move().migration() == what.name() && x->outcome() == wire::PHASE_UNSPECIFIED
             ? x
             : nullptr;
}

/// Both records change in one command, or neither: that is the moment at which it is decided where the guest runs.
order decided(const truth& now, wire::Migration what, bool moved, std::string reason, std::int64_t now_ms) {
  auto x = order{};
  x.effect = moved ? "moved" : "kept";
  if (const auto* known = on_the_move(now, what)) {
    auto next = *known;
    if (moved) {
      next.set_node(known->next().node());
      next.set_epoch(known->next().epoch());
      next.set_placed_ms(now_ms);
      next.set_reason("moved from " + known->node() + " while it ran");
    }
    next.clear_next();
    next.clear_move();
    put(x, now, "instance/" + what.instance(), next);
  }
  what.set_phase(moved ? "moved" : "kept");
  what.set_reason(std::move(reason));
  what.set_ended_ms(now_ms);
  put(x, now, "migration/" + what.name(), what);
  return x;
}

/// Whose record is gone was decided long ago; the instance says how. It is written as it is, so that a controller that
/// leads no more, and knows too little, says nothing.
order order_by_place(const truth& now, const wire::SettleMove& asked) {
  const auto* x = now.find_instance(asked.instance());
  if (!x)
    return refuse(fault::not_found, "there is no instance called " + asked.instance());
  auto settled = order{};
  settled.effect = x->node() == asked.node() && x->epoch() == asked.epoch() ? "kept" : "moved";
  put(settled, now, "instance/" + asked.instance(), *x);
  return settled;
}

} // namespace

order order_cancel(const truth& now, const wire::CancelMigration& asked, std::int64_t now_ms) {
  const auto found = now.migrations.find(asked.name());
  if (found == now.migrations.end())
    return refuse(fault::not_found, "there is no migration called " + asked.name());
  const auto& what = found->second.value;
  if (what.phase() == "moved")
    return refuse(fault::conflict,
                  what.instance() + " has moved to " + what.target() + " already; move it back from there");
  if (what.phase() == "kept")
    return {};
  return decided(now, what, false, std::string{was_cancelled}, now_ms);
}

order order_settle(const truth& now, const wire::SettleMove& asked, std::int64_t now_ms) {
  const auto found = now.migrations.find(asked.migration());
  if (found == now.migrations.end())
    return order_by_place(now, asked);
  auto what = found->second.value;
  if (what.instance() != asked.instance() || what.source() != asked.node())
    return refuse(fault::denied, asked.node() + " is not the source of " + asked.migration());
  if (what.phase() != "moving") {
    auto x = order{};
    x.effect = what.phase();
    return x;
  }
  what.set_bytes(asked.bytes());
  what.set_passes(asked.passes());
  what.set_still_seconds(asked.still_seconds());
  what.set_disk_bytes(asked.disk_bytes());
  *what.mutable_course() = asked.course();
  if (what.course_size() > course_max)
    what.mutable_course()->DeleteSubrange(course_max, what.course_size() - course_max);
  const auto* x = on_the_move(now, what);
  if (asked.moved() && (!x || x->node() != asked.node() || x->epoch() != asked.epoch()))
    return decided(now, what, false, asked.instance() + " was stopped or placed anew meanwhile", now_ms);
  return decided(now, what, asked.moved(), asked.moved() ? "" : asked.reason(), now_ms);
}

} // namespace novacron::scheduler
