#include "actors/scheduler/reconcile_round.hpp"
#include "actors/scheduler/trial.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: a restart here and there goes unnoticed, ten at a time hardly.
constexpr auto moves_default = 10u;
constexpr auto moves_at_once = std::size_t{10};

std::optional<allowance> to_allowance(const wire::Quota& x) {
  auto found = allowance{{}, x.weight() > 0 ? x.weight() : 1};
  for (const auto& [name, limit] : x.limits())
    found.limits[name] = static_cast<std::int64_t>(std::min<std::uint64_t>(limit, std::uint64_t{1} << 62));
  return found;
}

bool same(const amount& a, const amount& b) {
  return a.cpu_milli == b.cpu_milli && a.memory_bytes == b.memory_bytes && a.disk_bytes == b.disk_bytes &&
         a.gpu_milli == b.gpu_milli && a.extra == b.extra;
}

bool on_its_way(const wire::Instance& x) {
  return x.outcome() == wire::PHASE_STOPPING || !x.leaving().node().empty() || !x.next().node().empty();
}

} // namespace

// -- what holds for the whole cluster ----------------------------------------------------------

/// After a quota, a policy or the settings were written or removed.
void reconciler::heed_setting(const std::string& key) {
  const auto name = key.substr(key.find('/') + 1);
  if (key.starts_with("quota/")) {
    const auto found = truth_.quotas.find(name);
    quotas_.allow(name, found == truth_.quotas.end() ? std::nullopt : to_allowance(found->second.value));
    capacity_ = true;
  } else if (key.starts_with("policy/")) {
    heed_policy(name);
  } else if (key.starts_with("reservation/")) {
    heed_reservation(name);
  } else if (key == settings_key) {
    cluster_.use_policy(default_policy());
    next_rebalance_.reset();
  }
}

/// One that does not stand its trial, or was found wanting in use, is as if it were not there: then "balance" is used
/// in its place.
void reconciler::heed_policy(const std::string& name) {
  const auto found = truth_.policies.find(name);
  if (found == truth_.policies.end()) {
    cluster_.define_policy(name, std::nullopt);
    policy_trials_.erase(name);
    return;
  }
  auto& trial = policy_trials_[name];
  if (const auto record = found->second.value.SerializeAsString(); trial.record != record)
    trial = {record, found->second.value.fallback().empty() ? wrong_policy_record(found->second.value)
                                                            : found->second.value.fallback()};
  cluster_.define_policy(name, trial.wrong.empty() ? std::optional{to_features(found->second.value)} : std::nullopt);
}

std::string reconciler::default_policy() const {
  const auto& set = truth_.settings.value.policy();
  return set.empty() ? settings_.policy : set;
}

// -- quotas ------------------------------------------------------------------------------------

/// An instance counts once, also while two copies of it run.
void reconciler::count(const wire::Instance& x) {
  const auto occupies = x.outcome() == wire::PHASE_UNSPECIFIED || x.outcome() == wire::PHASE_STOPPING;
  const auto* spec = truth_.spec_of(x.workload(), x.generation());
  if (!occupies || x.node().empty() || !spec)
    return uncount(x.name());
  auto now = std::pair{spec->tenant(), to_amount(spec->resources())};
  if (const auto known = counted_.find(x.name()); known != counted_.end() && known->second == now)
    return;
  uncount(x.name());
  quotas_.take(now.first, now.second);
  counted_.insert_or_assign(x.name(), std::move(now));
}

void reconciler::uncount(const std::string& instance) {
  const auto counted = counted_.extract(instance);
  if (counted)
    quotas_.release(counted.mapped().first, counted.mapped().second);
}

/// Why the quota of its tenant forbids an instance of this spec; empty when it does not.
std::string reconciler::beyond_quota(const wire::WorkloadSpec& spec, const std::string& instance) {
  const auto quota = truth_.quotas.find(spec.tenant());
  if (quota == truth_.quotas.end())
    return {};
  const auto need = to_amount(spec.resources());
  const auto own = counted_.find(instance);
  const auto has = own != counted_.end();
  // What it has already stays: it only moves.
  if (has && own->second.first == spec.tenant() && same(own->second.second, need))
    return {};
  if (has)
    quotas_.release(own->second.first, own->second.second);
  const auto resource = quotas_.exceeded(spec.tenant(), need);
  const auto used = quotas_.used(spec.tenant(), resource);
  if (has)
    quotas_.take(own->second.first, own->second.second);
  if (resource.empty())
    return {};
  return fmt::format("tenant {} has {} of {} {} already", spec.tenant(), used,
                     quota->second.value.limits().at(resource), resource);
}

/// What all nodes have together: it grows or shrinks by what one of them has.
void reconciler::count_capacity(const wire::NodeRecord& x, int sign) {
  change(capacity_total_, to_amount(x.facts().capacity()), sign);
  std::erase_if(capacity_total_.extra, [](const auto& each) { return each.second == 0; });
  quotas_.set_capacity(capacity_total_);
}

// -- making room -------------------------------------------------------------------------------

/// Whether an instance runs undisturbed, and nothing else is to be done with it.
const wire::WorkloadRecord* reconciler::settled(const wire::Instance& x) const {
  const auto* record = truth_.find_workload(x.workload());
  const auto calm = record && !record->stopped() && record->outcome() == wire::PHASE_UNSPECIFIED &&
                    x.outcome() == wire::PHASE_UNSPECIFIED && !x.node().empty() && !on_its_way(x) &&
                    sight_.present(x.node()) && !record->spec().placement().gang();
  return calm ? record : nullptr;
}

/// Moves an instance to a place that was found for it: with the new copy first where it has siblings to spare it,
/// else it ends first and its new room is kept.
void reconciler::shift(round& r, const wire::WorkloadRecord& record, const wire::Instance& x, const decision& where,
                       const std::string& reason, bool make_before_break) {
  r.shifted.insert(x.workload());
  if (!make_before_break) {
    auto next = x;
    next.set_outcome(wire::PHASE_STOPPING);
    next.set_reason(reason);
    next.mutable_next()->set_node(where.node);
    next.mutable_next()->set_generation(record.generation());
    next.mutable_next()->mutable_gpus()->Assign(where.gpus.begin(), where.gpus.end());
    return write(r, next);
  }
  auto next = placed(r, record, x.ordinal(), where);
  auto& former = *next.mutable_leaving();
  former.set_node(x.node());
  former.set_epoch(x.epoch());
  former.set_generation(x.generation());
  *former.mutable_gpus() = x.gpus();
  next.set_reason(reason);
  write(r, next);
}

/// Whether somebody is still on the way out for the sake of an instance.
bool reconciler::room_is_coming(const std::string& instance) const {
  const auto found = making_room_.find(instance);
  return found != making_room_.end() && std::ranges::any_of(found->second, [&](const std::string& name) {
           const auto* x = truth_.find_instance(name);
           return x && on_its_way(*x);
         });
}

/// Gives back the room that is held for an instance, and says on which node; empty when there was none.
std::string reconciler::forget_made_room(const std::string& instance) {
  const auto had = making_room_.erase(instance) > 0;
  const auto* room = had ? cluster_.find_hold(room_key(instance)) : nullptr;
  if (!room)
    return {};
  auto node = room->node;
  cluster_.release(room_key(instance));
  return node;
}

/// Room for who waits for none any more.
void reconciler::forget_idle_rooms() {
  auto idle = names{};
  for (const auto& [instance, victims] : making_room_)
    if (!waiting_.contains(instance))
      idle.push_back(instance);
  for (const auto& instance : idle)
    free_on(forget_made_room(instance));
}

bool reconciler::may_preempt(const wire::WorkloadSpec& spec) const {
  return spec.preempts() != wire::PREEMPTS_NEVER && !spec.placement().gang() && !priorities_.empty() &&
         priorities_.begin()->first < spec.priority();
}

/// Moves what is less important out of the way of an instance that fits nowhere; what is to be waited for then, in
/// words, empty when nobody could be moved.
std::string reconciler::make_room(round& r, const wire::WorkloadRecord& record, const request& wanted,
                                  const std::string& instance) {
  const auto& spec = record.spec();
  const auto waits = [&](const names& whom) { return fmt::format("waits until {} made room", fmt::join(whom, ", ")); };
  if (room_is_coming(instance))
    return waits(making_room_.at(instance));
  forget_made_room(instance);
  if (!may_preempt(spec))
    return {};
  if (r.preemptions >= settings_.preemptions_max) {
    touch(spec.name());
    turn_to_come_.insert(spec.name());
    return "waits for its turn to have room made";
  }
  ++r.preemptions;
  const auto find = [&](const std::string& key) -> std::optional<displaceable> {
    const auto* x = truth_.find_instance(key);
    const auto* owner = x && !r.shifted.contains(x->workload()) && !r.wrote("instance/" + key) ? settled(*x) : nullptr;
    // Room that is kept would be kept again as soon as it left.
    if (!owner || reserved_.draws(key))
      return std::nullopt;
    return displaceable{wanted_for(owner->spec(), key), owner->spec().priority()};
  };
  const auto found = preempt(cluster_, wanted, spec.priority(), find);
  if (!found)
    return {};
  // Two that make room at the same time would otherwise move their victims into each other's, and so for ever.
  auto room = hold_of(wanted, found->where);
  room.priority = spec.priority();
  cluster_.take(room_key(instance), std::move(room));
  auto& victims = making_room_[instance];
  for (const auto& [key, where] : found->victims) {
    const auto& x = *truth_.find_instance(key);
    const auto& owner = *truth_.find_workload(x.workload());
    victims.push_back(key);
    shift(r, owner, x, where, "makes room for " + instance,
          owner.spec().kind() != wire::WORKLOAD_KIND_BATCH && owner.spec().replicas() > 1 &&
              available(owner.spec(), x));
    tell("instance", key, "displaced", "makes room for " + instance, x.node());
  }
  return waits(victims);
}

// -- better places -----------------------------------------------------------------------------

std::vector<planned_move> reconciler::find_moves(std::size_t moves_max, const std::string& policy) const {
  auto now = cluster_;
  if (!policy.empty())
    now.use_policy(policy);
  auto all = std::vector<movable>{};
  for (const auto& [name, kept] : truth_.instances) {
    const auto* record = settled(kept.value);
    // A batch instance would lose what it has done so far.
    // And room that is kept for one is a good place.
    if (!record || record->spec().kind() == wire::WORKLOAD_KIND_BATCH || !available(record->spec(), kept.value) ||
        reserved_.draws(name))
      continue;
    all.push_back({name, wanted_for(record->spec(), name),
                   record->spec().replicas() > 1 || moves_while_it_runs(kept.value, *record)});
  }
  auto limits = rebalance_limits{};
  limits.moves_max = moves_max;
  limits.at_once = moves_at_once;
  return plan_rebalance(std::move(now), all, limits);
}

wire::Plan reconciler::rebalance(const wire::Rebalance& asked) {
  const auto moves = find_moves(asked.max_moves() > 0 ? asked.max_moves() : moves_default, asked.policy());
  auto plan = wire::Plan{};
  plan.set_feasible(true);
  for (const auto& move : moves) {
    auto& step = *plan.add_steps();
    step.set_instance(move.key);
    const auto live = moves_while_it_runs(*truth_.find_instance(move.key), *settled(*truth_.find_instance(move.key)));
    step.set_action(live ? "migrate" : "move");
    step.set_node(move.target);
    step.set_from(move.source);
    step.set_score(move.gain);
    step.set_reason(move.must_leave ? "may not stay where it is" : "is better off there");
  }
  const auto busy = !moves_.empty() || !moving_.empty();
  plan.set_summary(moves.empty()     ? "everything is where it should be"
                   : asked.dry_run() ? fmt::format("{} to move", moves.size())
                   : busy            ? "moves are being made already; ask again when they are done"
                                     : fmt::format("{} on the move", moves.size()));
  if (!asked.dry_run() && !busy)
    moves_.assign(moves.begin(), moves.end());
  if (!asked.dry_run() && busy)
    plan.clear_steps();
  return plan;
}

void reconciler::rebalance_when_due(round& r) {
  const auto every = truth_.settings.value.rebalance_every_ms();
  if (every == 0)
    return;
  const auto length = duration{std::chrono::milliseconds{every}};
  if (!next_rebalance_)
    next_rebalance_ = r.now + length;
  if (r.now < *next_rebalance_)
    return;
  next_rebalance_ = r.now + length;
  if (!moves_.empty() || !moving_.empty())
    return;
  const auto most = truth_.settings.value.rebalance_moves();
  const auto found = find_moves(most > 0 ? most : moves_default, {});
  moves_.assign(found.begin(), found.end());
}

/// Whether it is moved to a better place without being started anew.
bool reconciler::moves_while_it_runs(const wire::Instance& x, const wire::WorkloadRecord& record) const {
  return settings_.draw_token && why_not_live(x, record.spec()).empty();
}

/// The next wave of moves, once the one before has come to its end. What moves while it runs may have to wait for its
/// turn within the wave.
void reconciler::make_moves(round& r) {
  std::erase_if(moving_, [&](const std::string& name) {
    const auto* x = truth_.find_instance(name);
    return !x || !on_its_way(*x);
  });
  if (moves_.empty() || (!moving_.empty() && moves_.front().wave != wave_))
    return;
  wave_ = moves_.front().wave;
  auto later = std::deque<planned_move>{};
  for (; !moves_.empty() && moves_.front().wave == wave_; moves_.pop_front()) {
    const auto& move = moves_.front();
    const auto* x = truth_.find_instance(move.key);
    const auto* record = x && x->node() == move.source && !r.wrote("instance/" + move.key) ? settled(*x) : nullptr;
    if (!record)
      continue;
    const auto live = moves_while_it_runs(*x, *record);
    if (live && !taken_slots(r.now_ms).free(move.source, move.target)) {
      later.push_back(move);
      continue;
    }
    auto there = wanted_for(record->spec(), move.key);
    there.require["node"] = move.target;
    const auto where = find_place(*x, there);
    if (!where)
      continue;
    moving_.push_back(move.key);
    const auto reason = "is better off on " + move.target;
    if (live)
      begin_move(r, *record, *x, where->node, cause_rebalance, reason);
    else
      shift(r, *record, *x, *where, reason, record->spec().replicas() > 1 && available(record->spec(), *x));
  }
  moves_.insert(moves_.begin(), later.begin(), later.end());
}

// -- what people see ---------------------------------------------------------------------------

wire::QuotaList reconciler::list_quotas() const {
  auto tenants = std::set<std::string>{};
  for (const auto& [name, x] : truth_.quotas)
    tenants.insert(name);
  for (const auto& [name, x] : truth_.workloads)
    if (!x.value.spec().tenant().empty())
      tenants.insert(x.value.spec().tenant());
  auto list = wire::QuotaList{};
  list.set_index(truth_.index);
  for (const auto& tenant : tenants) {
    auto& view = *list.add_quotas();
    if (const auto known = truth_.quotas.find(tenant); known != truth_.quotas.end())
      *view.mutable_quota() = known->second.value;
    view.mutable_quota()->set_tenant(tenant);
    auto resources = std::set<std::string>{"cpu", "memory", "disk", "gpu"};
    for (const auto& [resource, limit] : view.quota().limits())
      resources.insert(resource);
    for (const auto& resource : resources)
      if (const auto used = quotas_.used(tenant, resource); used > 0)
        (*view.mutable_used())[resource] = static_cast<std::uint64_t>(used);
    view.set_share(quotas_.share(tenant));
  }
  return list;
}

wire::PolicyList reconciler::list_policies() const {
  auto list = wire::PolicyList{};
  list.set_index(truth_.index);
  *list.mutable_settings() = truth_.settings.value;
  list.mutable_settings()->set_policy(default_policy());
  for (const auto& name : policy_names())
    *list.add_policies() = to_policy(name, *policy_weights(name));
  for (const auto& [name, x] : truth_.policies) {
    auto& shown = *list.add_policies();
    shown = x.value;
    if (const auto trial = policy_trials_.find(name); trial != policy_trials_.end())
      shown.set_fallback(trial->second.wrong);
  }
  return list;
}

} // namespace novacron::scheduler
