#include "actors/scheduler/move_estimate.hpp"
#include "actors/scheduler/orders.hpp"
#include "actors/scheduler/reconcile_round.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: so long the target may take until its machine waits for the guest; it may have to fetch the image first.
constexpr auto preparing_ms_max = std::int64_t{10} * 60 * 1000;
/// Chosen: of those that are over so many are remembered.
constexpr auto remembered_max = std::size_t{100};
/// Chosen: twice as long as the ledger may take to answer.
constexpr auto begun_counts_ms = std::int64_t{10'000};
constexpr auto streams_max = 64u;
constexpr auto still_ms_max = std::uint64_t{60'000};

bool is_codec(const std::string& x) {
  return x.empty() || x == "auto" || x == "none" || x == "lz4" || x == "zstd";
}

wire::Instance on_the_move(const wire::Instance& x, const wire::Migration& log, std::uint64_t epoch,
                           const std::string& token) {
  auto next = x;
  auto& there = *next.mutable_next();
  there.set_node(log.target());
  there.set_epoch(epoch);
  there.set_generation(x.generation());
  auto& move = *next.mutable_move();
  move.set_migration(log.name());
  move.set_token(token);
  move.set_streams(log.streams());
  move.set_codec(log.codec());
  move.set_downtime_ms(log.downtime_ms());
  return next;
}

} // namespace

/// Why it cannot leave its node while it runs, wherever to; empty when it can.
std::string reconciler::why_not_live(const wire::Instance& x, const wire::WorkloadSpec& spec) const {
  if (auto why = why_never_live(spec); !why.empty())
    return why;
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  if (!seen || !sight_.present(x.node()))
    return "nothing has been heard of it yet";
  const auto& status = seen->status;
  if (status.phase() == wire::PHASE_PAUSED)
    return "it is paused";
  if (status.phase() != wire::PHASE_RUNNING || status.health() == "failing")
    return "it does not run undisturbed at the moment";
  if (status.kind() != wire::WORKLOAD_KIND_UNSPECIFIED)
    return "it has just changed its format";
  return status.immovable();
}

/// The moves under way, with those that will be in the ledger in a moment.
move_slots reconciler::taken_slots(std::int64_t now_ms) const {
  auto slots = move_slots{};
  for (const auto& [name, each] : truth_.migrations)
    if (each.value.phase() == "moving")
      slots.take(each.value.source(), each.value.target());
  for (const auto& [instance, each] : begun_)
    if (!truth_.migrations.contains(each.migration) && now_ms - each.began_ms < begun_counts_ms)
      slots.take(each.source, each.target);
  return slots;
}

/// Why it cannot be moved there now; empty when it can.
std::string reconciler::why_not_move(const wire::Instance& x, const wire::WorkloadSpec& spec,
                                     const wire::Migrate& asked, std::int64_t now_ms) const {
  if (const auto why = why_never_live(spec); !why.empty())
    return fmt::format("{} cannot be moved while it runs: {}; `drain` stops such and starts them elsewhere", x.name(),
                       why);
  if (!settled(x))
    return fmt::format("{} does not run undisturbed at the moment; see `ps`, and try again when it does", x.name());
  if (const auto why = why_not_live(x, spec); !why.empty())
    return fmt::format("{} cannot be moved while it runs: {}", x.name(), why);
  if (!available(spec, x))
    return fmt::format("{} is not well at the moment; see `ps`, and try again when it is", x.name());
  if (!sight_.present(asked.node()))
    return fmt::format("{} is out of reach; see `node list`", asked.node());
  if (const auto why = taken_slots(now_ms).why_not(x.node(), asked.node()); !why.empty())
    return why + "; `migration list` shows them, try again when one is over";
  return {};
}

/// Why that one node does not take it, in words.
std::string reconciler::why_not_there(const request& wanted, const std::string& node) const {
  const auto all = cluster_.explain(wanted).refusals;
  const auto found = std::ranges::find(all, node, &node_refusal::node);
  if (found == all.end())
    return "it has no room for it; see `explain placement`";
  return found->detail.empty() ? found->cause : found->detail;
}

/// What it will take, from the memory that it uses (or may use, while that is not known) and from earlier moves.
wire::MoveEstimate reconciler::expect_move(const wire::Instance& x, const wire::WorkloadSpec& spec,
                                           const std::string& target) const {
  auto before = std::vector<wire::Migration>{};
  for (const auto& [name, each] : truth_.migrations)
    before.push_back(each.value);
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  const auto used = seen ? seen->status.used().memory_bytes() : 0;
  return estimate_move(used > 0 ? used : spec.resources().memory_bytes(), x.node(), target, before);
}

/// A move as it begins. Its epoch at the target is above all that this name ever had, so that no remainder of an earlier
/// attempt can be taken for it.
wire::Migration reconciler::move_record(const wire::Instance& x, const wire::WorkloadSpec& spec,
                                        const wire::Migrate& asked, std::int64_t now_ms) const {
  auto log = wire::Migration{};
  log.set_name(fmt::format("{}-{}", x.name(), truth_.index + 1));
  log.set_instance(x.name());
  log.set_workload(x.workload());
  log.set_source(x.node());
  log.set_target(asked.node());
  log.set_streams(asked.streams());
  log.set_codec(asked.codec().empty() ? "auto" : asked.codec());
  log.set_downtime_ms(asked.downtime_ms());
  log.set_phase("moving");
  log.set_cause(std::string{cause_asked});
  log.set_began_ms(now_ms);
  *log.mutable_expected() = expect_move(x, spec, asked.node());
  return log;
}

order reconciler::migrate(const wire::Migrate& asked, std::int64_t now_ms, const std::string& token) {
  const auto* x = truth_.find_instance(asked.name());
  const auto* record = truth_.find_workload(x ? x->workload() : asked.name());
  if (!record)
    return refuse(fault::not_found, "there is no workload or instance called " + asked.name());
  if (!x) {
    const auto& all = truth_.instances_of(asked.name());
    if (all.size() != 1)
      return refuse(fault::bad_request,
                    fmt::format("{} has {} instances; name one, as in {}.0", asked.name(), all.size(), asked.name()));
    x = truth_.find_instance(all.begin()->second);
  }
  if (!truth_.nodes.contains(asked.node()))
    return refuse(fault::not_found, "there is no node called " + asked.node() + "; see `node list`");
  if (!is_codec(asked.codec()) || asked.streams() > streams_max || asked.downtime_ms() > still_ms_max)
    return refuse(fault::bad_request, "a migration has 1 to 64 streams, the codec auto, none, lz4 or zstd, and a "
                                      "longest standstill of a minute");
  if (x->node() == asked.node())
    return refuse(fault::conflict, x->name() + " is on " + asked.node() + " already");
  // The same once more does no harm.
  if (x->has_move() && x->next().node() == asked.node() && truth_.migrations.contains(x->move().migration())) {
    auto known = order{};
    known.effect = x->move().migration();
    return known;
  }
  if (x->has_move())
    return refuse(fault::conflict,
                  fmt::format("{} is on the move to {} already; cancel that first (`migration cancel {}`)", x->name(),
                              x->next().node(), x->move().migration()));
  // What was tried before and did not get into the ledger does not stand in its own way.
  if (!asked.only_check())
    begun_.erase(x->name());
  if (auto why = why_not_move(*x, record->spec(), asked, now_ms); !why.empty())
    return refuse(fault::conflict, std::move(why));
  auto wanted = wanted_for(record->spec(), x->name());
  const auto only = wanted.require.emplace("node", asked.node()).first->second;
  const auto where = only == asked.node() ? find_place(*x, wanted) : std::nullopt;
  if (!where)
    return refuse(fault::conflict, fmt::format("{} cannot take {}: {}", asked.node(), x->name(),
                                               why_not_there(wanted_for(record->spec(), x->name()), asked.node())));
  auto log = move_record(*x, record->spec(), asked, now_ms);
  if (asked.only_check()) {
    log.set_name("");
    log.set_phase("planned");
    auto planned = order{};
    planned.plan = std::move(log);
    return planned;
  }
  auto made = order{};
  made.effect = log.name();
  begun_[x->name()] = {log.name(), log.source(), log.target(), now_ms};
  put(made, truth_, "instance/" + x->name(), on_the_move(*x, log, truth_.index + 1, token));
  put(made, truth_, "migration/" + log.name(), log);
  return made;
}

/// Begins one that nobody asked for by name.
void reconciler::begin_move(round& r, const wire::WorkloadRecord& record, const wire::Instance& x,
                            const std::string& target, std::string_view cause, const std::string& reason) {
  r.shifted.insert(x.workload());
  auto asked = wire::Migrate{};
  asked.set_node(target);
  auto log = move_record(x, record.spec(), asked, r.now_ms);
  log.set_cause(std::string{cause});
  begun_[x.name()] = {log.name(), x.node(), target, r.now_ms};
  write(r, on_the_move(x, log, truth_.index + 1, settings_.draw_token()));
  r.put("migration/" + log.name(), log, truth_.revision_of("migration/" + log.name()));
  tell("instance", x.name(), "moving", fmt::format("{}, to {}", reason, target), x.node());
}

/// Gives a move up: the instance goes on where it is. Its source may have had it decided otherwise in the meantime;
/// then this is refused by the ledger.
void reconciler::keep(round& r, const wire::Migration& each, const std::string& why) {
  const auto* x = truth_.find_instance(each.instance());
  if (x && x->has_move() && x->move().migration() == each.name()) {
    r.shifted.insert(x->workload());
    auto next = *x;
    next.clear_move();
    next.clear_next();
    write(r, next);
  }
  auto over = each;
  over.set_phase("kept");
  over.set_reason(why);
  over.set_ended_ms(r.now_ms);
  r.put("migration/" + each.name(), over, truth_.revision_of("migration/" + each.name()));
}

void reconciler::attend_move(round& r, const wire::Migration& each) {
  const auto* x = truth_.find_instance(each.instance());
  if (!x || !x->has_move() || x->move().migration() != each.name() || x->outcome() != wire::PHASE_UNSPECIFIED)
    return keep(r, each, each.instance() + " was stopped or placed anew meanwhile");
  for (const auto& node : {each.source(), each.target()})
    if (const auto* seen = sight_.find(node); !truth_.nodes.contains(node) || (seen && seen->lost))
      return keep(r, each, node + " is out of reach");
  const auto* here = sight_.find(each.source(), each.instance(), x->epoch());
  if (x->next().generation() != x->generation() || (here && here->status.kind() != wire::WORKLOAD_KIND_UNSPECIFIED))
    return keep(r, each, each.instance() + " changed its format meanwhile");
  const auto* there = sight_.find(each.target(), each.instance(), x->next().epoch());
  if (there && !is_live(there->status.phase()))
    return keep(r, each, fmt::format("{} gave up: {}", each.target(), there->status.reason()));
  // An agent that knows of no moves starts what it is assigned.
  if (there && there->status.phase() != wire::PHASE_MIGRATING && there->status.phase() != wire::PHASE_STARTING)
    return keep(r, each, each.target() + " has an older version of novacron, which takes in nothing that runs");
  const auto late = r.now_ms >= each.began_ms() + preparing_ms_max;
  if (x->move().inlets_size() > 0) {
    if (late && here && here->status.phase() == wire::PHASE_RUNNING && !here->status.has_progress())
      keep(r, each, each.source() + " did not begin to send it in time");
    return;
  }
  if (late)
    return keep(r, each, each.target() + " was not ready to take it in time");
  if (!there || there->status.inlets().empty())
    return;
  r.shifted.insert(x->workload());
  auto next = *x;
  *next.mutable_move()->mutable_inlets() = there->status.inlets();
  write(r, next);
}

/// Does what the moves under way need.
void reconciler::attend_moves(round& r) {
  for (const auto& [name, each] : truth_.migrations)
    if (each.value.phase() == "moving")
      attend_move(r, each.value);
  std::erase_if(begun_, [&](const auto& each) {
    return truth_.migrations.contains(each.second.migration) || r.now_ms - each.second.began_ms >= begun_counts_ms;
  });
  forget_old_moves(r);
}

/// Forgets the oldest of those that are over, but for attempts that decide how what has to leave does so.
void reconciler::forget_old_moves(round& r) {
  if (truth_.migrations.size() <= remembered_max)
    return;
  auto over = std::vector<std::pair<std::int64_t, std::string>>{};
  for (const auto& [name, each] : truth_.migrations) {
    const auto& x = each.value;
    const auto* instance = truth_.find_instance(x.instance());
    const auto counts = instance && instance->node() == x.source() && counts_as_attempt(x, r.now_ms);
    if (x.phase() != "moving" && !counts)
      over.emplace_back(x.ended_ms(), name);
  }
  std::ranges::sort(over);
  for (auto i = std::size_t{0}; i + remembered_max < over.size(); ++i)
    remove(r, "migration/" + over[i].second);
}

wire::MigrationList reconciler::list_migrations(const std::string& name) const {
  auto list = wire::MigrationList{};
  list.set_index(truth_.index);
  for (const auto& [key, each] : truth_.migrations) {
    if (!name.empty() && key != name)
      continue;
    auto& shown = *list.add_migrations();
    shown = each.value;
    const auto* x = truth_.find_instance(shown.instance());
    const auto* seen = x && shown.phase() == "moving" ? sight_.find(x->node(), x->name(), x->epoch()) : nullptr;
    if (!seen)
      continue;
    *shown.mutable_progress() = seen->status.progress();
    if (shown.progress().phase().empty())
      shown.mutable_progress()->set_phase("preparing");
  }
  std::ranges::sort(*list.mutable_migrations(),
                    [](const auto& a, const auto& b) { return a.began_ms() < b.began_ms(); });
  return list;
}

} // namespace novacron::scheduler
