#include "actors/scheduler/sight.hpp"

#include <algorithm>

namespace novacron::scheduler {
namespace {

/// Chosen: reports of a node's earlier lives arrive seconds late, not many restarts late.
constexpr std::size_t former_incarnations_max = 8;

/// Chosen: instances of a node that changes of its report may add up to, so that a node that only adds cannot fill a
/// controller. Who has more says all there is, which has the limits of one message.
constexpr auto changed_max = std::size_t{1} << 16;

void begin_life(seen_node& x, std::uint64_t incarnation) {
  if (x.incarnation == incarnation)
    return;
  if (x.incarnation != 0) {
    x.former_incarnations.push_back(x.incarnation);
    if (x.former_incarnations.size() > former_incarnations_max)
      x.former_incarnations.erase(x.former_incarnations.begin());
  }
  x.incarnation = incarnation;
  x.report_number = 0;
  x.revision.reset();
  x.takes_changes = false;
}

/// What `status` says beside what was known of the instance; a difference that matters goes into `changes`.
seen_instance see(const seen_instance* former, const wire::InstanceStatus& status, instant now,
                  std::vector<sighting>& changes) {
  auto seen = seen_instance{status, std::nullopt};
  if (status.phase() == wire::PHASE_RUNNING)
    seen.running_since = former && former->running_since && former->status.restarts() == status.restarts()
                             ? former->running_since
                             : std::optional{now};
  const auto before = former ? former->status : wire::InstanceStatus{};
  if (before.phase() != status.phase() || before.health() != status.health() ||
      before.restarts() != status.restarts() || before.kind() != status.kind())
    changes.push_back({status.name(), before, status});
  return seen;
}

} // namespace

bool is_live(wire::Phase phase) {
  return phase != wire::PHASE_UNSPECIFIED && phase != wire::PHASE_PENDING && phase != wire::PHASE_STOPPED &&
         phase != wire::PHASE_COMPLETED && phase != wire::PHASE_FAILED;
}

void sight::arrive(const wire::NodeFacts& facts, instant now) {
  auto& x = nodes_[facts.name()];
  begin_life(x, facts.incarnation());
  x.facts = facts;
  x.linked = true;
  x.lost = false;
  x.heard = now;
  x.away_since.reset();
  x.lost_at.reset();
  x.reason.clear();
  set_due(facts.name(), x);
}

void sight::depart(const std::string& node, const std::string& reason, instant now) {
  auto& x = nodes_[node];
  if (!x.linked && x.away_since)
    return;
  x.linked = false;
  x.reason = reason;
  x.away_since = now;
  set_due(node, x);
}

bool sight::accept(seen_node& x, const wire::NodeReport& report) {
  if (std::ranges::find(x.former_incarnations, report.incarnation()) != x.former_incarnations.end())
    return false;
  if (x.incarnation == report.incarnation())
    return report.number() > x.report_number;
  // A linked node has said who it is: another incarnation is one that is no more.
  if (x.linked && x.incarnation != 0)
    return false;
  begin_life(x, report.incarnation());
  return true;
}

template <class Report>
void sight::hear(seen_node& x, const Report& report, instant now, std::int64_t now_ms) {
  x.report_number = report.number();
  x.revision = report.revision();
  x.heard = now;
  x.heard_ms = now_ms;
  x.used = report.used();
  x.lost = false;
  x.away_since.reset();
  x.lost_at.reset();
  set_due(report.node(), x);
}

std::optional<std::vector<sighting>> sight::report(const wire::NodeReport& report, instant now, std::int64_t now_ms) {
  auto& x = nodes_[report.node()];
  if (!accept(x, report))
    return std::nullopt;
  hear(x, report, now, now_ms);
  x.takes_changes = report.takes_changes();
  auto changes = std::vector<sighting>{};
  auto next = decltype(x.instances){};
  for (const auto& status : report.instances()) {
    const auto key = std::pair{status.name(), status.epoch()};
    const auto former = x.instances.find(key);
    next.insert_or_assign(key, see(former == x.instances.end() ? nullptr : &former->second, status, now, changes));
  }
  for (const auto& [key, former] : x.instances)
    if (!next.contains(key))
      changes.push_back({key.first, former.status, {}});
  x.instances = std::move(next);
  return changes;
}

std::optional<std::vector<sighting>> sight::report(const wire::ReportChange& change, instant now, std::int64_t now_ms) {
  const auto found = nodes_.find(change.node());
  if (found == nodes_.end() || found->second.incarnation != change.incarnation() || change.base() == 0 ||
      found->second.report_number != change.base() || change.number() <= change.base())
    return std::nullopt;
  auto& x = found->second;
  if (x.instances.size() + static_cast<std::size_t>(change.instances_size()) > changed_max)
    return std::nullopt;
  hear(x, change, now, now_ms);
  auto changes = std::vector<sighting>{};
  // A node has one copy of a name at a time: another epoch takes the place of the former.
  const auto drop = [&](const std::string& name, std::optional<std::uint64_t> but) {
    for (auto at = x.instances.lower_bound({name, 0}); at != x.instances.end() && at->first.first == name;)
      if (at->first.second == but) {
        ++at;
      } else {
        changes.push_back({name, at->second.status, {}});
        at = x.instances.erase(at);
      }
  };
  for (const auto& name : change.gone())
    drop(name, {});
  for (const auto& status : change.instances()) {
    drop(status.name(), status.epoch());
    const auto key = std::pair{status.name(), status.epoch()};
    const auto former = x.instances.find(key);
    x.instances.insert_or_assign(key,
                                 see(former == x.instances.end() ? nullptr : &former->second, status, now, changes));
  }
  return changes;
}

void sight::expect(const std::vector<std::string>& nodes, instant now) {
  for (const auto& node : nodes) {
    auto& x = nodes_[node];
    if (x.linked)
      continue;
    x.lost = false;
    x.lost_at.reset();
    x.away_since = now + settings_.grace;
    set_due(node, x);
  }
}

void sight::rest() {
  for (auto& [node, x] : nodes_) {
    x.lost = false;
    x.lost_at.reset();
    set_due(node, x);
  }
}

void sight::forget(const std::string& node) {
  if (const auto found = nodes_.find(node); found != nodes_.end() && found->second.due)
    due_.erase({*found->second.due, node});
  nodes_.erase(node);
}

/// Begins to wait for what time changes of a node next, instead of what was waited for before.
void sight::set_due(const std::string& node, seen_node& x) {
  const auto before = x.due;
  x.due.reset();
  if (!x.linked && !x.lost && x.away_since)
    x.due = *x.away_since + settings_.patience;
  else if (!x.linked && !x.lost && x.heard)
    x.due = *x.heard + settings_.silence;
  if (x.due == before)
    return;
  if (before)
    due_.erase({*before, node});
  if (x.due)
    due_.emplace(*x.due, node);
}

std::vector<std::string> sight::pass(instant now) {
  auto changed = std::vector<std::string>{};
  for (auto at = due_.begin(); at != due_.end() && at->first <= now; ++at)
    changed.push_back(at->second);
  std::ranges::sort(changed);
  for (const auto& node : changed) {
    auto& x = nodes_.at(node);
    if (x.away_since) {
      x.lost = true;
      x.lost_at = now;
    } else {
      x.away_since = now;
      x.reason = "no report";
    }
    set_due(node, x);
  }
  return changed;
}

std::optional<instant> sight::next() const {
  return due_.empty() ? std::nullopt : std::optional{due_.begin()->first};
}

const seen_node* sight::find(const std::string& node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : &found->second;
}

const seen_instance* sight::find(const std::string& node, const std::string& instance, std::uint64_t epoch) const {
  const auto* x = find(node);
  if (!x)
    return nullptr;
  const auto found = x->instances.find({instance, epoch});
  return found == x->instances.end() ? nullptr : &found->second;
}

bool sight::present(const std::string& node) const {
  const auto* x = find(node);
  return x && x->present() && (x->linked || x->heard);
}

} // namespace novacron::scheduler
