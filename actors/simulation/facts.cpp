/// What conditions can speak of: the fabric as it really is, seen from outside.

#include "actors/simulation/player.hpp"

#include "messages/registry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace novacron::simulation {
namespace {

struct wanted {
  std::size_t workloads = 0;
  /// Batch workloads that are not over: as many of their instances run as it happens.
  std::set<std::string> batches;
  std::map<std::string, double> desired;
  double instances = 0;
  double failed = 0;
  /// Batch workloads that ended well.
  double batches_done = 0;
};

/// What the ledger wants to run.
wanted wanted_by(const ledger::records& truth) {
  auto found = wanted{};
  for (auto at = truth.all().lower_bound("workload/"); at != truth.all().end() && at->first.starts_with("workload/");
       ++at) {
    auto record = wire::WorkloadRecord{};
    if (!record.ParseFromString(at->second.value))
      continue;
    ++found.workloads;
    const auto& spec = record.spec();
    const auto over = record.stopped() || record.outcome() != wire::PHASE_UNSPECIFIED;
    const auto count = over                                       ? 0.0
                       : spec.kind() == wire::WORKLOAD_KIND_BATCH ? 0.0
                                                                  : static_cast<double>(std::max(1u, spec.replicas()));
    found.desired[spec.name()] = count;
    if (!over && spec.kind() == wire::WORKLOAD_KIND_BATCH)
      found.batches.insert(spec.name());
    found.instances += count;
    if (spec.kind() == wire::WORKLOAD_KIND_BATCH && record.outcome() == wire::PHASE_COMPLETED)
      ++found.batches_done;
    found.failed += record.outcome() == wire::PHASE_FAILED ? 1 : 0;
  }
  return found;
}

template <class Read>
std::vector<double> of_hosts(world& here, Read read) {
  auto all = std::vector<double>{};
  for (const auto& x : here.machines())
    if (x.facts.hosts_workloads())
      all.push_back(read(x));
  return all;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string middle_of(const std::string& name) {
  const auto first = name.find('.');
  const auto last = name.rfind('.');
  return name.substr(first + 1, last - first - 1);
}

std::optional<value> workload_fact(world& here, const std::string& name, const std::string& what) {
  const auto running = static_cast<double>(here.watch().running(name));
  if (what == "running")
    return running;
  const auto found = wanted_by(here.truth().truth());
  const auto at = found.desired.find(name);
  const auto desired = at == found.desired.end() ? 0.0 : at->second;
  if (what == "desired")
    return desired;
  return std::max(0.0, desired - running);
}

std::optional<value> host_fact(world& here, const std::string& name, const std::string& what) {
  const auto* host = here.find(name);
  if (!host)
    return {};
  const auto& used = here.watch().used_on(host->number);
  if (what == "up")
    return host->up ? 1.0 : 0.0;
  if (what == "running")
    return static_cast<double>(here.watch().running_on(host->number));
  if (what == "cpu")
    return share(used.cpu_milli(), host->facts.capacity().cpu_milli());
  return share(used.memory_bytes(), host->facts.capacity().memory_bytes());
}

std::vector<double> zone_counts(world& here) {
  auto counts = std::map<std::string, double>{};
  for (const auto& x : here.machines())
    if (x.facts.hosts_workloads())
      counts[x.facts.zone()] += static_cast<double>(here.watch().running_on(x.number));
  auto all = std::vector<double>{};
  for (const auto& [zone, count] : counts)
    all.push_back(count);
  return all;
}

/// Of the batch workloads: how many do not run yet, run, or have ended well.
double job_fact(const world& here, const std::string& what) {
  const auto found = wanted_by(here.truth().truth());
  if (what == "done")
    return found.batches_done;
  const auto running = static_cast<double>(
      std::ranges::count_if(found.batches, [&](const std::string& name) { return here.watch().running(name) > 0; }));
  return what == "running" ? running : static_cast<double>(found.batches.size()) - running;
}

/// How many nodes the scheduler counts in a state; nothing while it cannot be asked.
std::optional<value> node_fact(world& here, const std::string& what) {
  auto* at = here.controller();
  if (!at)
    return {};
  const auto answer = std::move(
      here.ask(*at, {"scheduler"}, caf::make_message(wire::NodeListRequest{}), std::chrono::seconds{5}).front());
  if (!answer || !answer->match_elements<wire::NodeList>())
    return {};
  const auto& list = answer->get_as<wire::NodeList>(0);
  if (what == "count")
    return static_cast<double>(list.nodes_size());
  return static_cast<double>(
      std::ranges::count_if(list.nodes(), [&](const wire::NodeView& x) { return x.state() == what; }));
}

/// What runs on whom, of a workload.
std::string places_of(const world& here, const std::string& workload) {
  auto text = std::string{};
  for (const auto& x : here.machines())
    for (const auto& [name, run] : x.runs)
      if (run.alive && run.what.workload() == workload)
        text += fmt::format("{}{} of epoch {} on {}", text.empty() ? "" : ", ", name, run.what.epoch(), x.facts.name());
  return text;
}

} // namespace

const std::vector<std::string>& player::facts() {
  static const auto all = std::vector<std::string>{"connections",
                                                   "converged",
                                                   "elections",
                                                   "events",
                                                   "host.*.cpu",
                                                   "host.*.memory",
                                                   "host.*.running",
                                                   "host.*.up",
                                                   "host.cpu",
                                                   "host.memory",
                                                   "host.running",
                                                   "hosts.count",
                                                   "hosts.down",
                                                   "hosts.up",
                                                   "jobs.came",
                                                   "jobs.coming",
                                                   "jobs.done",
                                                   "jobs.running",
                                                   "jobs.waiting",
                                                   "leader",
                                                   "lost",
                                                   "messages",
                                                   "nodes.count",
                                                   "nodes.drained",
                                                   "nodes.lost",
                                                   "nodes.ready",
                                                   "orders",
                                                   "orders.acknowledged",
                                                   "peak.connections",
                                                   "peak.messages",
                                                   "reserved.cpu",
                                                   "reserved.memory",
                                                   "starts",
                                                   "time",
                                                   "violations",
                                                   "workload.*.desired",
                                                   "workload.*.pending",
                                                   "workload.*.running",
                                                   "workloads.count",
                                                   "workloads.desired",
                                                   "workloads.failed",
                                                   "workloads.pending",
                                                   "workloads.running",
                                                   "zone.running"};
  return all;
}

std::pair<double, double> player::reserved() const {
  auto used = wire::Resources{};
  auto there = wire::Resources{};
  const auto add = [](wire::Resources& sum, const wire::Resources& x) {
    sum.set_cpu_milli(sum.cpu_milli() + x.cpu_milli());
    sum.set_memory_bytes(sum.memory_bytes() + x.memory_bytes());
  };
  for (const auto& x : std::as_const(*world_).machines())
    if (x.facts.hosts_workloads()) {
      add(used, world_->watch().used_on(x.number));
      add(there, x.facts.capacity());
    }
  return {share(used.cpu_milli(), there.cpu_milli()), share(used.memory_bytes(), there.memory_bytes())};
}

std::string player::unsettled() const {
  const auto& here = *world_;
  const auto found = wanted_by(here.truth().truth());
  auto seen = 0.0;
  for (const auto& [name, count] : found.desired) {
    const auto running = static_cast<double>(here.watch().running(name));
    seen += running;
    if (running != count && !found.batches.contains(name))
      return fmt::format("{} instances of {} run, and {} are wanted ({})", running, name, count, places_of(here, name));
  }
  // Nothing runs that nobody wants.
  if (seen != static_cast<double>(here.watch().running()))
    return fmt::format("{} instances run of workloads that are forgotten",
                       static_cast<double>(here.watch().running()) - seen);
  return {};
}

std::optional<value> player::fact(const std::string& name) {
  auto& here = *world_;
  const auto& watch = here.watch();
  if (name == "workloads.running")
    return static_cast<double>(watch.running());
  if (name == "converged")
    return unsettled().empty() ? 1.0 : 0.0;
  if (name == "workloads.count")
    return static_cast<double>(wanted_by(here.truth().truth()).workloads);
  if (name == "workloads.desired")
    return wanted_by(here.truth().truth()).instances;
  if (name == "workloads.failed")
    return wanted_by(here.truth().truth()).failed;
  if (name == "workloads.pending")
    return std::max(0.0, wanted_by(here.truth().truth()).instances - static_cast<double>(watch.running()));
  if (name == "reserved.cpu")
    return reserved().first;
  if (name == "reserved.memory")
    return reserved().second;
  if (name == "hosts.count")
    return static_cast<double>(here.machines().size());
  if (name == "hosts.up" || name == "hosts.down")
    return static_cast<double>(std::ranges::count(here.machines(), name == "hosts.up", &machine::up));
  if (name == "host.cpu")
    return of_hosts(here, [&](const machine& x) {
      return share(watch.used_on(x.number).cpu_milli(), x.facts.capacity().cpu_milli());
    });
  if (name == "host.memory")
    return of_hosts(here, [&](const machine& x) {
      return share(watch.used_on(x.number).memory_bytes(), x.facts.capacity().memory_bytes());
    });
  if (name == "host.running")
    return of_hosts(here, [&](const machine& x) { return static_cast<double>(watch.running_on(x.number)); });
  if (name == "zone.running")
    return zone_counts(here);
  if (name == "leader") {
    const auto leads = here.truth().leader();
    return leads ? here.machines()[*leads].facts.name() : std::string{};
  }
  if (name == "lost")
    return static_cast<double>(orders_.lost(here.truth().truth()).size());
  if (name == "violations")
    return static_cast<double>(watch.violations().size());
  if (name == "orders")
    return static_cast<double>(orders_.asked_count());
  if (name == "orders.acknowledged")
    return static_cast<double>(orders_.acknowledged_count());
  if (name == "elections")
    return static_cast<double>(here.truth().elections());
  if (name == "starts")
    return static_cast<double>(watch.starts());
  if (name == "messages")
    return static_cast<double>(here.post().counted().delivered);
  if (name == "connections")
    return static_cast<double>(here.post().counted().connections);
  if (name == "peak.messages")
    return rush_.messages.most();
  if (name == "peak.connections")
    return rush_.connections.most();
  if (name == "jobs.came")
    return static_cast<double>(jobs_came_);
  if (name == "jobs.coming")
    return static_cast<double>(coming_.size());
  if (name == "jobs.done")
    return job_fact(here, "done") + static_cast<double>(jobs_forgotten_);
  if (name == "events")
    return static_cast<double>(here.stage().steps() + here.stage().timers());
  if (name == "time")
    return std::chrono::duration<double>(here.now()).count();
  const auto last = name.substr(name.rfind('.') + 1);
  if (name.starts_with("nodes."))
    return node_fact(here, last);
  if (name.starts_with("jobs."))
    return job_fact(here, last);
  if (name.starts_with("workload."))
    return workload_fact(here, middle_of(name), last);
  if (name.starts_with("host."))
    return host_fact(here, middle_of(name), last);
  return {};
}

} // namespace novacron::simulation
