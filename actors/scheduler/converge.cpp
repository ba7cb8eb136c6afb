#include "actors/scheduler/reconcile_round.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::scheduler {
namespace {

bool ended_for_good(wire::Phase outcome) {
  return outcome == wire::PHASE_COMPLETED || outcome == wire::PHASE_FAILED || outcome == wire::PHASE_STOPPED;
}

std::string why_failed(const wire::InstanceStatus& x) {
  return x.reason().empty() ? fmt::format("exit code {}", x.exit_code()) : x.reason();
}

} // namespace

void reconciler::converge(round& r, const std::string& workload) {
  waited_.clear();
  const auto prefix = workload + ".";
  for (auto at = waiting_.lower_bound(prefix); at != waiting_.end() && at->first.starts_with(prefix);)
    waited_.insert(waiting_.extract(at++));
  waiting_workloads_.erase(workload);
  plain_waits_.erase(workload);
  turn_to_come_.erase(workload);
  nowhere_.reset();
  calm_.erase(workload);
  const auto since = roomless_since_.extract(workload);
  was_roomless_ = since ? std::optional{since.mapped()} : std::nullopt;
  roomless_.erase(workload);
  const auto ops = r.ops.size();
  const auto* record = truth_.find_workload(workload);
  if (!record || record->stopped() || record->outcome() != wire::PHASE_UNSPECIFIED)
    converge_end(r, workload, record);
  else if (record->spec().kind() == wire::WORKLOAD_KIND_BATCH)
    converge_batch(r, *record);
  else
    converge_service(r, *record);
  if (record && r.ops.size() == ops)
    tidy_generations(r, *record);
}

// -- what every kind needs ---------------------------------------------------------------------

void reconciler::write(round& r, const wire::Instance& x) {
  r.put("instance/" + x.name(), x, truth_.revision_of("instance/" + x.name()));
  hold_as(x);
}

void reconciler::remove(round& r, const std::string& key) {
  auto& op = r.add(key, truth_.revision_of(key));
  op.set_remove(true);
  // The spec of a former generation never changes, and its record's revision is not kept.
  op.set_conditional(!key.starts_with("generation/"));
}

void reconciler::finish(round& r, const wire::WorkloadRecord& record, wire::Phase outcome, std::string reason) {
  auto next = record;
  next.set_outcome(outcome);
  next.set_outcome_reason(std::move(reason));
  const auto key = "workload/" + record.spec().name();
  r.put(key, next, truth_.revision_of(key));
}

void reconciler::wait(const std::string& instance, std::string reason) {
  const auto former = waited_.find(instance);
  if (former == waited_.end() || former->second != reason)
    tell("instance", instance, "waiting", reason);
  waiting_workloads_.insert(instance.substr(0, instance.rfind('.')));
  waiting_[instance] = std::move(reason);
}

/// Remembers what would help one that finds no room, where that is nothing but room.
void reconciler::note_wait(const wire::WorkloadSpec& spec, const request& wanted, const std::string& instance) {
  const auto plain = wanted.near.empty() && wanted.apart.empty() && wanted.spread.empty() && wanted.claims.empty() &&
                     reserved_.open_to(wanted).empty();
  if (plain)
    plain_waits_[spec.name()] = {wanted.need, instance, may_preempt(spec)};
}

const std::string& reconciler::why_nowhere(const request& wanted) {
  if (!nowhere_)
    nowhere_ = cluster_.why_not(wanted);
  return *nowhere_;
}

request reconciler::wanted_for(const wire::WorkloadSpec& spec, const std::string& instance) const {
  auto wanted = to_request(spec);
  if (const auto avoided = avoid_.find(instance); avoided != avoid_.end())
    wanted.avoid = avoided->second;
  return wanted;
}

bool reconciler::available(const wire::WorkloadSpec& spec, const wire::Instance& x) const {
  const auto* seen = sight_.find(x.node(), x.name(), x.epoch());
  if (x.outcome() != wire::PHASE_UNSPECIFIED || !seen || !sight_.present(x.node()))
    return false;
  const auto& status = seen->status;
  return (status.phase() == wire::PHASE_RUNNING || status.phase() == wire::PHASE_PAUSED) &&
         (spec.has_health() ? status.health() == "passing" : status.health() != "failing");
}

bool reconciler::on_drained_node(const wire::Instance& x) const {
  const auto node = truth_.nodes.find(x.node());
  return node != truth_.nodes.end() && node->second.value.drained() && sight_.present(x.node());
}

/// Why an instance may not stay where it is, in words; empty when it may.
std::string reconciler::why_leave(const wire::WorkloadSpec& spec, const wire::Instance& x) const {
  if (on_drained_node(x))
    return "leaves the drained node " + x.node();
  const auto node = truth_.nodes.find(x.node());
  if (node == truth_.nodes.end() || node->second.value.taints().empty() || !sight_.present(x.node()))
    return {};
  const auto tolerate = to_request(spec).tolerate;
  for (const auto& each : to_taints(node->second.value))
    if (each.effect == taint_effect::evict && !tolerates(tolerate, each))
      return "leaves " + x.node() + ", which has the taint " + in_words(each);
  return {};
}

wire::Instance reconciler::ended(const wire::Instance& x, wire::Phase outcome,
                                 const wire::InstanceStatus& status) const {
  auto next = x;
  next.set_outcome(outcome);
  next.set_exit_code(status.exit_code());
  next.set_reason(outcome == wire::PHASE_FAILED ? why_failed(status) : status.reason());
  next.clear_leaving();
  next.clear_next();
  next.clear_move();
  return next;
}

// -- the end of an instance --------------------------------------------------------------------

/// Whether the copy on a lost node needs to be waited for no longer. What `spec` says now decides whether it may be
/// replaced; when it has ended is decided by what the node was told, which may be an earlier generation.
bool reconciler::lost_for_good(round& r, const wire::Instance& x, const wire::WorkloadSpec& spec,
                               const std::string& node, std::uint64_t generation) {
  const auto* seen = sight_.find(node);
  if (!seen || !seen->lost || !seen->lost_at)
    return false;
  if (spec.on_disconnect().action() == wire::ON_DISCONNECT_REPLACE)
    return true;
  const auto* told = truth_.spec_of(x.workload(), generation);
  if (spec.on_disconnect().action() != wire::ON_DISCONNECT_STOP_AFTER || !told ||
      told->on_disconnect().action() != wire::ON_DISCONNECT_STOP_AFTER)
    return false;
  const auto after = duration{std::chrono::milliseconds{told->on_disconnect().after_ms()}};
  const auto grace = duration{std::chrono::milliseconds{told->stop_grace_ms()}};
  const auto certain = *seen->lost_at + after + grace + settings_.stop_margin + after / settings_.stop_margin_part;
  if (r.now < certain)
    timers_.emplace(certain, x.workload());
  return r.now >= certain;
}

/// Whether that copy certainly runs no more.
template <class Copy>
bool reconciler::copy_gone(round& r, const wire::Instance& x, const Copy& copy, const wire::WorkloadSpec* spec) {
  const auto& node = copy.node();
  if (node.empty() || !truth_.nodes.contains(node))
    return true;
  if (!sight_.present(node))
    return spec && lost_for_good(r, x, *spec, node, copy.generation());
  const auto* seen = sight_.find(node);
  if (x.outcome() != wire::PHASE_STOPPING || !seen->revision ||
      *seen->revision < truth_.revision_of("instance/" + x.name()))
    return false;
  const auto* left = sight_.find(node, x.name(), copy.epoch());
  return !left || !is_live(left->status.phase());
}

bool reconciler::gone(round& r, const wire::Instance& x, const wire::WorkloadSpec* spec) {
  return copy_gone(r, x, x, spec) && copy_gone(r, x, x.leaving(), spec);
}

/// Brings an instance to its end, step by step: asked to stop, seen to be gone, `final_phase` or removed.
void reconciler::retire(round& r, const wire::Instance& x, wire::Phase final_phase, const std::string& reason) {
  if (!gone(r, x, truth_.spec_of(x.workload(), x.generation()))) {
    if (x.outcome() == wire::PHASE_STOPPING)
      return;
    auto next = x;
    next.set_outcome(wire::PHASE_STOPPING);
    next.set_reason(reason);
    next.clear_next();
    next.clear_move();
    write(r, next);
  } else if (final_phase == wire::PHASE_UNSPECIFIED) {
    remove(r, "instance/" + x.name());
  } else {
    auto next = x;
    next.set_outcome(final_phase);
    next.clear_leaving();
    next.clear_next();
    next.clear_move();
    write(r, next);
  }
}

void reconciler::converge_end(round& r, const std::string& workload, const wire::WorkloadRecord* record) {
  const auto batch = record && record->spec().kind() == wire::WORKLOAD_KIND_BATCH;
  const auto remembered = batch && !record->forgotten();
  const auto reason = !record                                       ? "workload forgotten"
                      : record->outcome() != wire::PHASE_UNSPECIFIED ? "workload " + phase_name(record->outcome())
                                                                     : "workload stopped";
  const auto before = static_cast<std::ptrdiff_t>(r.ops.size());
  const auto& instances = truth_.instances_of(workload);
  for (const auto& [ordinal, name] : instances) {
    const auto& x = *truth_.find_instance(name);
    if (!ended_for_good(x.outcome()))
      retire(r, x, remembered ? wire::PHASE_STOPPED : wire::PHASE_UNSPECIFIED, reason);
    else if (!remembered)
      remove(r, "instance/" + name);
  }
  const auto going = std::count_if(r.ops.begin() + before, r.ops.end(), [](const auto& op) { return op.remove(); });
  // Its record goes in one command with the last of its instances.
  if (record && record->forgotten() && static_cast<std::size_t>(going) == instances.size()) {
    for (const auto generation : truth_.generations_of(workload))
      remove(r, "generation/" + generation_key(workload, generation));
    remove(r, "workload/" + workload);
  }
}

void reconciler::tidy_generations(round& r, const wire::WorkloadRecord& record) {
  auto unused = truth_.generations_of(record.spec().name());
  for (const auto& [ordinal, name] : truth_.instances_of(record.spec().name())) {
    const auto& x = *truth_.find_instance(name);
    unused.erase(x.generation());
    unused.erase(x.leaving().generation());
  }
  for (const auto generation : unused)
    remove(r, "generation/" + generation_key(record.spec().name(), generation));
}

// -- failures ----------------------------------------------------------------------------------

/// Whether an instance that failed has waited long enough to be tried again.
bool reconciler::rested(round& r, const wire::WorkloadRecord& record, const wire::Instance& x) {
  if (x.failures() == 0 || x.generation() != record.generation())
    return true;
  const auto& restart = record.spec().restart();
  const auto or_else = [](std::uint64_t ms, duration otherwise) {
    return ms > 0 ? duration{std::chrono::milliseconds{ms}} : otherwise;
  };
  const auto first = or_else(restart.delay_ms(), settings_.retry_delay);
  const auto longest = or_else(restart.delay_max_ms(), settings_.retry_delay_max);
  auto delay = first;
  for (auto i = 1u; i < x.failures() && delay < longest; ++i)
    delay *= 2;
  const auto until = not_before_.try_emplace(x.name(), r.now + std::min(delay, longest)).first->second;
  if (r.now >= until)
    return true;
  timers_.emplace(until, x.workload());
  wait(x.name(), fmt::format("failed {} times ({}), waits before the next try", x.failures(), x.reason()));
  return false;
}

void reconciler::settle_failure(round& r, const wire::WorkloadRecord& record, const wire::Instance& x,
                                const seen_instance& seen) {
  const auto& spec = record.spec();
  const auto& status = seen.status;
  const auto batch = spec.kind() == wire::WORKLOAD_KIND_BATCH;
  const auto forgiven = seen.running_since && r.now - *seen.running_since >= settings_.forgive_after;
  const auto failures = forgiven ? 1 : x.failures() + 1;
  const auto final = batch ? failures > spec.batch().retries()
                           : spec.restart().when() == wire::RESTART_WHEN_NEVER ||
                               (spec.restart().limit() > 0 && status.restarts() >= spec.restart().limit());
  auto next = ended(x, wire::PHASE_FAILED, status);
  next.set_failures(failures);
  if (final) {
    write(r, next);
    if (batch)
      finish(r, record, wire::PHASE_FAILED,
             fmt::format("{} failed {} time{}, last: {}", x.name(), failures, failures == 1 ? "" : "s",
                         why_failed(status)));
    return;
  }
  auto& avoided = avoid_[x.name()];
  avoided.push_back(x.node());
  if (avoided.size() > 3)
    avoided.erase(avoided.begin());
  next.clear_outcome();
  next.clear_node();
  next.clear_gpus();
  not_before_.erase(x.name());
  write(r, next);
}

// -- placing -----------------------------------------------------------------------------------

wire::Instance reconciler::placed(round& r, const wire::WorkloadRecord& record, std::uint32_t ordinal,
                                  const decision& where) const {
  const auto name = instance_name(record.spec().name(), ordinal);
  const auto* prior = truth_.find_instance(name);
  auto x = wire::Instance{};
  x.set_name(name);
  x.set_workload(record.spec().name());
  x.set_ordinal(ordinal);
  // Commits never outnumber the index, so an epoch made from it is above all that the name ever had.
  x.set_epoch(prior ? prior->epoch() + 1 : truth_.index + 1);
  x.set_generation(record.generation());
  x.set_node(where.node);
  x.mutable_gpus()->Assign(where.gpus.begin(), where.gpus.end());
  x.set_placed_ms(r.now_ms);
  if (prior && prior->generation() == record.generation())
    x.set_failures(prior->failures());
  if (prior && prior->outcome() == wire::PHASE_UNSPECIFIED && !prior->leaving().node().empty() &&
      prior->leaving().node() != where.node)
    *x.mutable_leaving() = prior->leaving();
  return x;
}

/// A place for an instance as if it were not where it is.
std::optional<decision> reconciler::find_place(const wire::Instance& x, const request& wanted) {
  auto kept = std::vector<std::pair<std::string, hold>>{};
  for (const auto* copy : {"", "/leaving", "/next"})
    if (const auto* held = cluster_.find_hold(x.name() + copy)) {
      kept.emplace_back(x.name() + copy, *held);
      cluster_.release(x.name() + copy);
    }
  auto where = std::optional<decision>{};
  if (!x.next().node().empty()) {
    auto there = wanted;
    there.require["node"] = x.next().node();
    where = place(there);
  }
  if (!where)
    where = place(wanted);
  for (auto& [key, held] : kept)
    cluster_.take(key, std::move(held));
  return where;
}

std::optional<wire::Instance> reconciler::place_one(round& r, const wire::WorkloadRecord& record,
                                                    const request& wanted, std::uint32_t ordinal) {
  const auto name = instance_name(record.spec().name(), ordinal);
  const auto* prior = truth_.find_instance(name);
  if (!beyond_quota(record.spec(), name).empty())
    return std::nullopt;
  const auto own = avoid_.contains(name) ? wanted_for(record.spec(), name) : wanted;
  if (!prior && !waited_.contains(name))
    note_asked(own);
  const auto find = [&](const request& x) { return prior ? find_place(*prior, x) : place(x); };
  auto where = std::optional<decision>{};
  // While its room is being made, another place would do as well.
  if (!room_is_coming(name))
    if (const auto node = forget_made_room(name); !node.empty()) {
      auto there = own;
      there.require["node"] = node;
      where = find(there);
    }
  if (!where)
    where = find(own);
  if (!where)
    return std::nullopt;
  free_on(forget_made_room(name));
  auto x = placed(r, record, ordinal, *where);
  hold_as(x);
  return x;
}

/// An instance that is gone and finds no new place gives its old one up.
void reconciler::unplace(round& r, const wire::WorkloadRecord& record, std::uint32_t ordinal, const std::string& why) {
  const auto name = instance_name(record.spec().name(), ordinal);
  const auto* prior = truth_.find_instance(name);
  wait(name, why);
  if (!prior || prior->node().empty() ||
      (prior->outcome() == wire::PHASE_UNSPECIFIED && truth_.nodes.contains(prior->node())))
    return;
  auto next = *prior;
  next.clear_outcome();
  next.clear_node();
  next.clear_gpus();
  next.clear_leaving();
  next.clear_next();
  next.clear_move();
  next.set_reason(why);
  write(r, next);
}

void reconciler::place_missing(round& r, const wire::WorkloadRecord& record,
                               const std::vector<std::uint32_t>& missing) {
  if (missing.empty())
    return;
  // A gang goes into one command as a whole: where that would become too large, it comes first in the next.
  if (record.spec().placement().gang() && !r.ops.empty() && r.ops.size() + missing.size() > settings_.ops_max)
    return touch(record.spec().name());
  const auto wanted = wanted_for(record.spec(), "");
  auto found = std::vector<wire::Instance>{};
  for (const auto ordinal : missing) {
    if (!record.spec().placement().gang() && r.ops.size() + found.size() >= settings_.ops_max) {
      touch(record.spec().name());
      break;
    }
    auto x = place_one(r, record, wanted, ordinal);
    if (x) {
      found.push_back(std::move(*x));
      continue;
    }
    const auto name = instance_name(record.spec().name(), ordinal);
    auto why = beyond_quota(record.spec(), name);
    if (why.empty()) {
      const auto gang = record.spec().placement().gang();
      roomless_since_.emplace(record.spec().name(), was_roomless_.value_or(r.now));
      roomless_[record.spec().name()] = gang ? missing.size() : 1;
      why = make_room(r, record, wanted, name);
      note_wait(record.spec(), wanted, name);
    }
    if (why.empty())
      why = why_nowhere(wanted);
    if (record.spec().placement().gang()) {
      why = fmt::format("only {} of {} find a place at once; {}", found.size(), missing.size(), why);
      for (const auto& tentative : std::exchange(found, {}))
        sync_hold(tentative.name());
    }
    for (auto at = std::ranges::find(missing, ordinal); at != missing.end(); ++at)
      unplace(r, record, *at, why);
    if (record.spec().placement().gang())
      for (auto at = missing.begin(); *at != ordinal; ++at)
        unplace(r, record, *at, why);
    break;
  }
  for (const auto& x : found) {
    not_before_.erase(x.name());
    write(r, x);
  }
}

} // namespace novacron::scheduler
