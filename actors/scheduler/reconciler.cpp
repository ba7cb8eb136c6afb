#include "actors/scheduler/reconcile_round.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace novacron::scheduler {

namespace {

/// Whether `x` takes less of anything than `y`.
bool takes_less(const amount& x, const amount& y) {
  return x.cpu_milli < y.cpu_milli || x.memory_bytes < y.memory_bytes || x.disk_bytes < y.disk_bytes ||
         x.gpu_milli < y.gpu_milli || x.extra != y.extra;
}

} // namespace

std::string instance_name(const std::string& workload, std::uint32_t ordinal) {
  return workload + "." + std::to_string(ordinal);
}

reconciler::reconciler(reconcile_config settings)
  : settings_{std::move(settings)}, sight_{settings_.sight}, cluster_{settings_.policy} {}

// -- what the ledger says ----------------------------------------------------------------------

void reconciler::reset(const wire::LedgerEntries& all) {
  for (const auto& [name, x] : truth_.instances) {
    for (const auto* copy : {"", "/leaving", "/next"})
      cluster_.release(name + copy);
    uncount(name);
  }
  reserved_ = {};
  for (const auto& [name, x] : truth_.nodes) {
    cluster_.release_reserved(name);
    cluster_.remove_node(name);
  }
  const auto former = std::exchange(truth_, {});
  priorities_.clear();
  for (const auto& entry : all.entries())
    truth_.write(entry);
  for (const auto& [name, x] : truth_.workloads)
    ++priorities_[x.value.spec().priority()];
  for (const auto* book : {&former, &std::as_const(truth_)}) {
    for (const auto& [name, x] : book->quotas)
      heed_setting("quota/" + name);
    for (const auto& [name, x] : book->policies)
      heed_setting("policy/" + name);
    for (const auto& [name, x] : book->reservations)
      heed_setting("reservation/" + name);
  }
  heed_setting(std::string{settings_key});
  // What changed since is not known: everybody is sent the whole.
  sent_.clear();
  truth_.index = all.index();
  capacity_total_ = {};
  for (const auto& [name, x] : truth_.nodes) {
    count_capacity(x.value, 1);
    refresh_node(name);
    dirty_nodes_[name];
    unrecorded_nodes_.insert(name);
  }
  for (const auto& [name, x] : truth_.instances) {
    sync_hold(name);
    touch(x.value.workload());
  }
  for (const auto& [name, x] : truth_.workloads)
    touch(name);
  hold_reserved_room();
  capacity_ = places_due_ = true;
}

void reconciler::apply(const wire::LedgerChanged& change) {
  if (change.index() <= truth_.index)
    return;
  truth_.index = change.index();
  for (const auto& key : change.removed())
    removed(key);
  for (const auto& entry : change.written())
    written(entry);
}

void reconciler::written(const wire::LedgerEntry& entry) {
  const auto name = entry.key().substr(entry.key().find('/') + 1);
  if (entry.key().starts_with("workload/")) {
    const auto* known = truth_.find_workload(name);
    const auto before = known ? *known : wire::WorkloadRecord{};
    truth_.write(entry);
    const auto& now = *truth_.find_workload(name);
    hopeless_.erase(name);
    if (known)
      forget_priority(before.spec().priority());
    ++priorities_[now.spec().priority()];
    // What is there already moves by the priority that holds now, and takes the room that is kept for it now.
    if (known && (before.spec().priority() != now.spec().priority() || before.spec().tenant() != now.spec().tenant() ||
                  before.spec().placement().reservation() != now.spec().placement().reservation()))
      for (const auto& [ordinal, instance] : truth_.instances_of(name))
        sync_hold(instance);
    if (now.outcome() != before.outcome() && now.outcome() != wire::PHASE_UNSPECIFIED)
      tell("workload", name, phase_name(now.outcome()), now.outcome_reason());
    else if (now.stopped() && !before.stopped())
      tell("workload", name, now.forgotten() ? "deleted" : "stopped");
    else
      tell("workload", name, before.generation() == 0 ? "created" : "changed");
    touch(name);
  } else if (entry.key().starts_with("instance/")) {
    const auto* known = truth_.find_instance(name);
    const auto before = known ? *known : wire::Instance{};
    truth_.write(entry);
    const auto& now = *truth_.find_instance(name);
    tell_instance(before, now);
    sync_hold(name);
    note_run_time(before, now);
    // Somebody may wait to be near it.
    if (before.node() != now.node() && waiting_workloads_.size() > plain_waits_.size())
      capacity_ = true;
    touch(now.workload());
    for (const auto& node : {before.node(), before.leaving().node(), before.next().node(), now.node(),
                             now.leaving().node(), now.next().node()})
      touch_instance(node, name);
  } else if (entry.key().starts_with("node/")) {
    const auto known = truth_.nodes.find(name);
    const auto drained = known != truth_.nodes.end() && known->second.value.drained();
    if (known == truth_.nodes.end())
      tell("node", name, "joined");
    else
      count_capacity(known->second.value, -1);
    truth_.write(entry);
    count_capacity(truth_.nodes.at(name).value, 1);
    if (drained != truth_.nodes.at(name).value.drained())
      tell("node", name, drained ? "undrained" : "drained");
    refresh_node(name);
    touch_node(name);
  } else {
    if (entry.key().starts_with("reservation/"))
      tell("reservation", name, truth_.reservations.contains(name) ? "changed" : "created");
    truth_.write(entry);
    heed_setting(entry.key());
    // One that is over makes way for another.
    if (entry.key().starts_with("migration/") && truth_.migrations.at(name).value.phase() != "moving")
      for (const auto& each : std::exchange(awaiting_turn_, {}))
        touch(each);
  }
}

void reconciler::forget_priority(std::int32_t priority) {
  if (const auto found = priorities_.find(priority); found != priorities_.end() && --found->second == 0)
    priorities_.erase(found);
}

void reconciler::removed(const std::string& key) {
  const auto name = key.substr(key.find('/') + 1);
  if (key.starts_with("workload/")) {
    tell("workload", name, "forgotten");
    waiting_workloads_.erase(name);
    plain_waits_.erase(name);
    turn_to_come_.erase(name);
    roomless_since_.erase(name);
    roomless_.erase(name);
    if (const auto* gone = truth_.find_workload(name))
      forget_priority(gone->spec().priority());
  } else if (key.starts_with("instance/")) {
    if (const auto* before = truth_.find_instance(name)) {
      tell("instance", name, "removed", before->reason(), before->node());
      touch(before->workload());
      for (const auto& node : {before->node(), before->leaving().node()})
        touch_instance(node, name);
    }
    not_before_.erase(name);
    avoid_.erase(name);
    waiting_.erase(name);
    free_on(forget_made_room(name));
  } else if (key.starts_with("node/")) {
    tell("node", name, "forgotten");
    if (const auto known = truth_.nodes.find(name); known != truth_.nodes.end())
      count_capacity(known->second.value, -1);
    touch_node(name);
    forget_strays(name);
    cluster_.remove_node(name);
    sight_.forget(name);
    sent_.erase(name);
    dirty_nodes_.erase(name);
    places_due_ = true;
  } else if (key.starts_with("reservation/")) {
    tell("reservation", name, "ended");
  }
  truth_.remove(key);
  if (key.starts_with("instance/"))
    sync_hold(name);
  heed_setting(key);
}

/// Another one may belong into the assignment of the node. Whoever is sent the whole next needs no list of what changed.
void reconciler::touch_instance(const std::string& node, const std::string& name) {
  if (node.empty())
    return;
  auto& changed = dirty_nodes_[node];
  if (sent_.contains(node))
    changed.insert(name);
}

void reconciler::touch_node(const std::string& node) {
  dirty_nodes_[node];
  for (const auto& name : truth_.instances_on(node))
    touch(truth_.find_instance(name)->workload());
}

void reconciler::refresh_node(const std::string& node) {
  const auto found = truth_.nodes.find(node);
  if (found == truth_.nodes.end())
    return;
  const auto& record = found->second.value;
  const auto returned = returned_.find(node);
  const auto unheard = returned != returned_.end() && !returned->second.heard;
  const auto state = !sight_.present(node) || unheard ? node_state::lost
                     : record.drained()               ? node_state::drained
                                                      : node_state::ready;
  auto shape = to_shape(record.facts(), state);
  shape.taints = to_taints(record);
  if (cluster_.set_node(shape)) {
    capacity_ = places_due_ = true;
    hopeless_.clear();
    reserved_.heed(node);
  }
}

void reconciler::hold_as(const wire::Instance& x) {
  const auto* record = truth_.find_workload(x.workload());
  const auto occupies = x.outcome() == wire::PHASE_UNSPECIFIED || x.outcome() == wire::PHASE_STOPPING;
  const auto hold = [&](const std::string& key, const std::string& node, std::uint64_t generation, const auto& gpus) {
    const auto* spec = truth_.spec_of(x.workload(), generation);
    if (occupies && !node.empty() && spec) {
      auto next = to_hold(*spec, node, {gpus.begin(), gpus.end()});
      if (record)
        next.priority = record->spec().priority();
      const auto* before = cluster_.find_hold(key);
      // Room becomes free also where an instance leaves a node or needs less than before.
      if (before && (before->node != node || takes_less(next.need, before->need)))
        free_on(before->node);
      // Whom it refused, or who refused it, may come now.
      capacity_ = capacity_ || (before && (before->apart != next.apart || before->labels != next.labels ||
                                           before->claims != next.claims));
      // What was decided here is committed as it was held.
      if (!before || *before != next)
        cluster_.take(key, std::move(next));
      draw(key, record, *spec, node);
    } else {
      if (const auto* before = cluster_.find_hold(key))
        free_on(before->node);
      reserved_.undraw(key);
      cluster_.release(key);
    }
  };
  hold(x.name(), x.node(), x.generation(), x.gpus());
  hold(x.name() + "/leaving", x.leaving().node(), x.leaving().generation(), x.leaving().gpus());
  hold(x.name() + "/next", x.next().node(), x.next().generation(), x.next().gpus());
  count(x);
  hold_reserved_room();
}

void reconciler::sync_hold(const std::string& instance) {
  if (const auto* x = truth_.find_instance(instance)) {
    hold_as(*x);
    return;
  }
  uncount(instance);
  for (const auto* copy : {"", "/leaving", "/next"}) {
    if (const auto* before = cluster_.find_hold(instance + copy))
      free_on(before->node);
    reserved_.undraw(instance + copy);
    cluster_.release(instance + copy);
  }
  hold_reserved_room();
}

/// What a node that was away still runs, and should not, takes room there until it has ended.
void reconciler::hold_strays(const std::string& node) {
  const auto found = returned_.find(node);
  if (found == returned_.end())
    return;
  for (const auto& key : std::exchange(found->second.strays, {}))
    capacity_ = cluster_.release(key) || capacity_;
  found->second.heard = true;
  for (const auto& [copy, seen] : sight_.find(node)->instances) {
    const auto& [name, epoch] = copy;
    const auto* x = truth_.find_instance(name);
    const auto wanted = x && ((x->node() == node && x->epoch() == epoch) ||
                              (x->leaving().node() == node && x->leaving().epoch() == epoch) ||
                              (x->next().node() == node && x->next().epoch() == epoch));
    const auto* spec = truth_.spec_of(name.substr(0, name.rfind('.')), seen.status.generation());
    if (wanted || !spec || !is_live(seen.status.phase()))
      continue;
    // No instance is called so.
    const auto& key = found->second.strays.emplace_back(fmt::format("stray/{}/{}/{}", node, name, epoch));
    cluster_.take(key, to_hold(*spec, node, {}));
  }
  if (found->second.strays.empty())
    returned_.erase(found);
}

void reconciler::forget_strays(const std::string& node) {
  if (const auto found = returned_.extract(node))
    for (const auto& key : found.mapped().strays)
      capacity_ = cluster_.release(key) || capacity_;
}

// -- whether this one decides ------------------------------------------------------------------

void reconciler::lead(instant now) {
  leads_ = true;
  auto known = names{};
  for (const auto& [name, x] : truth_.nodes)
    known.push_back(name);
  sight_.expect(known, now);
  sent_.clear();
  for (const auto& name : known) {
    refresh_node(name);
    touch_node(name);
  }
  for (const auto& [name, x] : truth_.workloads)
    touch(name);
}

void reconciler::follow() {
  leads_ = false;
  refused();
  while (!returned_.empty())
    forget_strays(std::string{returned_.begin()->first});
  sight_.rest();
  sent_.clear();
  timers_.clear();
  not_before_.clear();
  roomless_since_.clear();
  roomless_.clear();
  give_room_back();
  kept_on_.clear();
  while (!making_room_.empty())
    forget_made_room(std::string{making_room_.begin()->first});
  moves_.clear();
  moving_.clear();
  begun_.clear();
  awaiting_turn_.clear();
  next_rebalance_.reset();
}

// -- what the nodes say ------------------------------------------------------------------------

void reconciler::arrive(const wire::NodeFacts& facts, instant now) {
  // Nothing new goes there before it has said what it still runs.
  if (leads_ && truth_.nodes.contains(facts.name()) && !sight_.present(facts.name()))
    returned_[facts.name()].heard = false;
  sight_.arrive(facts, now);
  tell("node", facts.name(), "arrived");
  unrecorded_nodes_.insert(facts.name());
  sent_.erase(facts.name());
  refresh_node(facts.name());
  touch_node(facts.name());
}

void reconciler::depart(const std::string& node, const std::string& reason, instant now) {
  sight_.depart(node, reason, now);
  tell("node", node, "departed", reason);
  refresh_node(node);
  touch_node(node);
}

void reconciler::report(const wire::NodeReport& report, instant now, std::int64_t now_ms) {
  const auto was_present = sight_.present(report.node());
  const auto changes = sight_.report(report, now, now_ms);
  if (!changes)
    return;
  if (cluster_.set_images(report.node(), {report.images().begin(), report.images().end()}))
    capacity_ = true;
  heed(report, *changes, was_present);
}

bool reconciler::report(const wire::ReportChange& change, instant now, std::int64_t now_ms) {
  const auto was_present = sight_.present(change.node());
  const auto changes = sight_.report(change, now, now_ms);
  if (changes)
    heed(change, *changes, was_present);
  return changes.has_value();
}

template <class Report>
void reconciler::heed(const Report& report, const std::vector<sighting>& changes, bool was_present) {
  if (!was_present && leads_)
    returned_.try_emplace(report.node());
  const auto returned = returned_.find(report.node());
  const auto news = !was_present || (returned != returned_.end() && !returned->second.heard);
  hold_strays(report.node());
  if (news) {
    refresh_node(report.node());
    touch_node(report.node());
  }
  // Whether something is gone also depends on the assignment that the report answers.
  for (const auto& name : truth_.ending_on(report.node()))
    touch(truth_.find_instance(name)->workload());
  for (const auto& change : changes) {
    const auto* x = truth_.find_instance(change.instance);
    if (!x)
      continue;
    touch_for(*x, change);
    const auto& status = change.now;
    if (x->node() == report.node() && x->epoch() == status.epoch() && change.before.phase() != status.phase()) {
      tell("instance", x->name(), phase_name(status.phase()), status.reason(), report.node());
      events_.back().set_phase(status.phase());
      events_.back().set_epoch(status.epoch());
    }
  }
  // A node that follows nothing, or fell behind what it had, has lost it. To one that was away nothing is said that was
  // made before: what it was told to run may be another's by now.
  const auto sent = sent_.find(report.node());
  const auto known = sent != sent_.end();
  const auto behind = known && sent->second.delivered && report.revision() < sent->second.revision;
  // It says so until it has the last part: begun again for each report, a long whole would never end.
  const auto coming = known && sent->second.whole && !sent->second.delivered;
  if (!was_present || behind || (report.revision() == 0 && !coming))
    undelivered(report.node());
}

// -- what follows ------------------------------------------------------------------------------

void reconciler::record_nodes(round& r) {
  // Of a hundred thousand that come at once, a part in each round.
  while (!unrecorded_nodes_.empty() && !r.full(settings_)) {
    const auto name = std::move(unrecorded_nodes_.extract(unrecorded_nodes_.begin()).value());
    const auto* seen = sight_.find(name);
    if (!seen || !seen->facts || !seen->linked)
      continue;
    const auto known = truth_.nodes.find(name);
    auto record = known == truth_.nodes.end() ? wire::NodeRecord{} : known->second.value;
    if (known != truth_.nodes.end() && record.facts().SerializeAsString() == seen->facts->SerializeAsString())
      continue;
    *record.mutable_facts() = *seen->facts;
    if (known == truth_.nodes.end())
      record.set_joined_ms(r.now_ms);
    r.put("node/" + name, record, truth_.revision_of("node/" + name));
  }
}

std::vector<wire::LedgerOp> reconciler::propose(instant now, std::int64_t now_ms) {
  if (!leads_)
    return {};
  auto r = round{};
  r.now = now;
  r.now_ms = now_ms;
  proposed_.clear();
  for (const auto& node : sight_.pass(now)) {
    if (sight_.find(node)->lost)
      tell("node", node, "lost", sight_.find(node)->reason);
    places_due_ = true;
    refresh_node(node);
    touch_node(node);
  }
  while (!timers_.empty() && timers_.begin()->first <= now) {
    touch(timers_.begin()->second);
    timers_.erase(timers_.begin());
  }
  record_nodes(r);
  settle_reservations(r);
  judge_policy(r);
  attend_moves(r);
  rebalance_when_due(r);
  make_moves(r);
  touch_waiting();
  // The most important first; among equals the tenant that has least of what is meant for it, and who came first.
  auto order = std::vector<std::tuple<std::int64_t, double, std::int64_t, std::string>>{};
  for (const auto& name : dirty_) {
    const auto* record = truth_.find_workload(name);
    order.emplace_back(record ? -std::int64_t{record->spec().priority()} : 0,
                       record ? quotas_.share(record->spec().tenant()) : 0, record ? record->created_ms() : 0, name);
  }
  std::ranges::sort(order);
  give_room_back();
  const auto first = overdue(r);
  const auto* first_record = first ? truth_.find_workload(*first) : nullptr;
  auto first_served = first_record == nullptr;
  const auto serve_first = [&] {
    first_served = true;
    dirty_.erase(*first);
    converge(r, *first);
    if (const auto places = roomless_.find(*first); places != roomless_.end())
      keep_room(*first, places->second);
  };
  for (const auto& [priority, share, created, name] : order) {
    if (r.full(settings_))
      break;
    if (!first_served && priority >= -std::int64_t{first_record->spec().priority()})
      serve_first();
    if (r.shifted.contains(name) || (first && name == *first))
      continue;
    // It found no place, and its turn does not come in this round.
    if (r.preemptions >= settings_.preemptions_max && turn_to_come_.contains(name))
      continue;
    dirty_.erase(name);
    converge(r, name);
  }
  if (!first_served && !r.full(settings_))
    serve_first();
  forget_idle_rooms();
  more_ = r.ops.empty() && !dirty_.empty();
  for (const auto& op : r.ops)
    proposed_.push_back(op.key());
  return std::move(r.ops);
}

void reconciler::refused() {
  for (const auto& key : std::exchange(proposed_, {})) {
    const auto name = key.substr(key.find('/') + 1);
    if (key.starts_with("instance/")) {
      sync_hold(name);
      touch(name.substr(0, name.rfind('.')));
    } else if (key.starts_with("node/")) {
      unrecorded_nodes_.insert(name);
    } else if (key.starts_with("reservation/")) {
      heed_reservation(name);
    } else if (key.starts_with("migration/")) {
      std::erase_if(begun_, [&](const auto& each) { return each.second.migration == name; });
    } else {
      touch(name);
    }
  }
}

std::optional<instant> reconciler::wake() const {
  if (!leads_)
    return std::nullopt;
  auto first = more_ ? std::optional{instant{}} : sight_.next();
  if (!timers_.empty() && (!first || timers_.begin()->first < *first))
    first = timers_.begin()->first;
  for (const auto& due : {next_rebalance_, next_reservation_})
    if (due && (!first || *due < *first))
      first = due;
  return first;
}

// -- news --------------------------------------------------------------------------------------

void reconciler::tell(std::string noun, std::string name, std::string verb, std::string reason, std::string node) {
  auto& x = events_.emplace_back();
  x.set_noun(std::move(noun));
  x.set_name(std::move(name));
  x.set_verb(std::move(verb));
  x.set_reason(std::move(reason));
  x.set_node(std::move(node));
}

void reconciler::tell_instance(const wire::Instance& before, const wire::Instance& now) {
  if (now.outcome() != wire::PHASE_UNSPECIFIED) {
    if (now.outcome() == before.outcome())
      return;
    tell("instance", now.name(), phase_name(now.outcome()), now.reason(), now.node());
    events_.back().set_phase(now.outcome());
  } else if (now.node().empty()) {
    tell("instance", now.name(), "pending", now.reason(), before.node());
    events_.back().set_phase(wire::PHASE_PENDING);
  } else if (now.epoch() != before.epoch()) {
    tell("instance", now.name(), "placed", now.reason(), now.node());
    events_.back().set_phase(wire::PHASE_PLACED);
  } else {
    return;
  }
  events_.back().set_epoch(now.epoch());
}

std::vector<wire::Event> reconciler::take_events() { return std::exchange(events_, {}); }

} // namespace novacron::scheduler
