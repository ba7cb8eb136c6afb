#pragma once

/// A play of controllers and nodes on the stage: nodes run what they are assigned, as real ones do, but at once.

#include "actors/scheduler/scheduler_actor.hpp"
#include "spec/scheduler/fake_ledger.hpp"
#include "spec/stage.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <set>

namespace novacron::spec {

/// A node of the play and what it runs.
struct fake_node {
  wire::NodeFacts facts;
  bool connected = false;
  std::uint64_t number = 0;
  std::uint64_t revision = 0;
  caf::actor_clock::time_point cut_at;
  std::map<std::string, wire::Instance> assigned;
  std::map<std::string, wire::InstanceStatus> has;
  std::map<std::string, wire::WorkloadSpec> specs;
  /// How often something was started here.
  int starts = 0;
  /// Something ended since its last report.
  bool news = false;

  bool runs(const std::string& name) const {
    const auto found = has.find(name);
    return found != has.end() && scheduler::is_live(found->second.phase());
  }
};

class play {
public:
  spec::stage stage;
  ledger_book book;
  std::map<std::string, fake_node> nodes;
  std::map<std::string, scheduler_actor> controllers;
  /// Workloads whose instances fail or complete soon after their start.
  std::set<std::string> failing;
  std::set<std::string> ending;
  /// Assignments that said only what changed.
  int changes = 0;

  explicit play(std::vector<std::string> names = {"cloud-1"}, scheduler_config settings = {}) {
    for (const auto& name : names) {
      settings.reconcile.node = name;
      settings.wall_ms = 1'000'000;
      auto ledger = stage.system.spawn(fake_ledger, &book, name);
      controllers[name] = spawn_scheduler(
        stage.system, settings, ledger, [this](const std::string& node) { return agent_of(node); }, 7);
    }
    stage.settle();
    book.lead(names.front());
    stage.settle();
  }

  scheduler_actor& boss() { return controllers.at(book.leader.empty() ? controllers.begin()->first : book.leader); }

  void add_node(const std::string& name, const std::string& zone = "a", std::uint64_t cpu_milli = 4000,
                std::uint64_t memory = 4ull << 30) {
    auto& node = nodes[name];
    node.facts.set_name(name);
    node.facts.set_role("edge");
    node.facts.set_zone(zone);
    node.facts.set_hosts_workloads(true);
    node.facts.set_incarnation(1);
    node.facts.mutable_capacity()->set_cpu_milli(cpu_milli);
    node.facts.mutable_capacity()->set_memory_bytes(memory);
    connect(name);
  }

  void connect(const std::string& name) {
    auto& node = nodes.at(name);
    node.connected = true;
    auto news = wire::NodeArrived{};
    *news.mutable_facts() = node.facts;
    for (const auto& [each, controller] : controllers)
      caf::anon_send(controller, news);
    send_report(name);
    stage.settle();
  }

  /// The link of a node breaks; it runs on.
  void cut(const std::string& name) {
    auto& node = nodes.at(name);
    node.connected = false;
    node.cut_at = stage.now();
    auto news = wire::NodeDeparted{};
    news.set_name(name);
    news.set_reason("link broke");
    for (const auto& [each, controller] : controllers)
      caf::anon_send(controller, news);
    stage.settle();
  }

  /// A node dies with all that it ran; its assignment lies on its disk.
  void crash(const std::string& name) {
    cut(name);
    nodes.at(name).has.clear();
    auto& facts = nodes.at(name).facts;
    facts.set_incarnation(facts.incarnation() + 1);
    nodes.at(name).number = 0;
  }

  /// Lets seconds pass in which nodes work and report.
  void pass(int seconds) {
    for (auto i = 0; i < seconds; ++i) {
      stage.pass(std::chrono::seconds{1});
      ++seconds_;
      for (auto& [name, node] : nodes) {
        const auto changed = work(node) || std::exchange(node.news, false);
        if (node.connected && (changed || seconds_ % 2 == 0))
          send_report(name);
      }
      stage.settle();
    }
  }

  wire::NodeReport report_of(const std::string& name) {
    auto& node = nodes.at(name);
    auto report = wire::NodeReport{};
    report.set_node(name);
    report.set_revision(node.revision);
    report.set_incarnation(node.facts.incarnation());
    report.set_number(++node.number);
    report.set_takes_changes(true);
    for (const auto& [instance, status] : node.has)
      *report.add_instances() = status;
    return report;
  }

  virtual void send_report(const std::string& name) {
    const auto report = report_of(name);
    caf::anon_send(boss(), report);
  }

  virtual ~play() = default;

  // -- what a person says
  static wire::WorkloadSpec service(const std::string& name, std::uint32_t replicas = 1) {
    auto spec = wire::WorkloadSpec{};
    spec.set_name(name);
    spec.set_kind(wire::WORKLOAD_KIND_CONTAINER);
    spec.mutable_program()->set_image("web:1");
    spec.mutable_resources()->set_cpu_milli(1000);
    spec.mutable_resources()->set_memory_bytes(64 << 20);
    spec.set_replicas(replicas);
    return spec;
  }
  /// One that moves while it runs.
  static wire::WorkloadSpec machine(const std::string& name) {
    auto spec = service(name);
    spec.set_kind(wire::WORKLOAD_KIND_VM);
    spec.mutable_network()->set_mode("none");
    return spec;
  }

  static wire::WorkloadSpec batch(const std::string& name, std::uint32_t completions, std::uint32_t parallelism = 0) {
    auto spec = service(name, 0);
    spec.set_kind(wire::WORKLOAD_KIND_BATCH);
    spec.mutable_batch()->set_completions(completions);
    spec.mutable_batch()->set_parallelism(parallelism);
    return spec;
  }

  caf::expected<wire::Submitted> submit(const wire::WorkloadSpec& spec, wire::Order order = {}) {
    auto x = wire::Submit{};
    *x.mutable_spec() = spec;
    *x.mutable_order() = std::move(order);
    return stage.ask<wire::Submitted>(boss(), x);
  }

  caf::expected<wire::Done> stop(const std::string& name, bool forget = false) {
    auto x = wire::StopWorkload{};
    x.set_name(name);
    x.set_forget(forget);
    return stage.ask<wire::Done>(boss(), x);
  }

  caf::expected<wire::Done> drain(const std::string& node, bool drained = true) {
    auto x = wire::DrainNode{};
    x.set_node(node);
    x.set_drained(drained);
    return stage.ask<wire::Done>(boss(), x);
  }

  caf::expected<wire::Done> forget(const std::string& node) {
    auto x = wire::ForgetNode{};
    x.set_node(node);
    return stage.ask<wire::Done>(boss(), x);
  }

  wire::WorkloadView look(const std::string& name) {
    auto x = wire::WorkloadListRequest{};
    x.set_name(name);
    auto list = stage.ask<wire::WorkloadList>(boss(), x);
    return list && list->workloads_size() == 1 ? list->workloads(0) : wire::WorkloadView{};
  }

  std::vector<std::string> where(const std::string& instance) const {
    auto found = std::vector<std::string>{};
    for (const auto& [name, node] : nodes)
      if (node.runs(instance))
        found.push_back(name);
    return found;
  }

  std::optional<wire::Instance> record(const std::string& instance) const {
    const auto found = book.records.find("instance/" + instance);
    if (found == book.records.end())
      return std::nullopt;
    auto x = wire::Instance{};
    x.ParseFromString(found->second.value());
    return x;
  }

  /// How many instances of all are running.
  std::size_t running(const std::string& workload) const {
    auto count = std::size_t{0};
    for (const auto& [name, node] : nodes)
      count += static_cast<std::size_t>(std::ranges::count_if(node.has, [&](const auto& each) {
        return each.first.starts_with(workload + ".") && each.second.phase() == wire::PHASE_RUNNING;
      }));
    return count;
  }

private:
  caf::actor agent_of(const std::string& name) {
    if (!nodes.contains(name) || !nodes.at(name).connected)
      return {};
    auto& agent = agents_[name];
    if (!agent)
      agent = stage.system.spawn([this, name](caf::event_based_actor*) -> caf::behavior {
        return {[this, name](const wire::Assign& x) -> caf::result<wire::Done> {
                  auto& node = nodes.at(name);
                  if (!node.connected)
                    return caf::make_error(fault::unreachable, name);
                  if (x.revision() < node.revision)
                    return wire::Done{};
                  node.assigned.clear();
                  take(node, x);
                  return wire::Done{};
                },
                [this, name](const wire::AssignChange& x) -> caf::result<wire::Done> {
                  auto& node = nodes.at(name);
                  if (!node.connected)
                    return caf::make_error(fault::unreachable, name);
                  if (x.revision() <= node.revision)
                    return wire::Done{};
                  if (x.base() != node.revision)
                    return caf::make_error(fault::conflict, name);
                  for (const auto& gone : x.gone())
                    node.assigned.erase(gone);
                  take(node, x);
                  ++changes;
                  return wire::Done{};
                }};
      });
    return agent;
  }

  template <class Assignment>
  void take(fake_node& node, const Assignment& x) {
    node.revision = x.revision();
    for (const auto& instance : x.instances()) {
      node.assigned[instance.name()] = instance;
      node.specs[instance.name()] = instance.spec();
    }
    for (auto at = node.has.begin(); at != node.has.end();) {
      const auto wanted = node.assigned.find(at->first);
      // What it was converted to already only gets another name.
      if (wanted != node.assigned.end() && wanted->second.epoch() == at->second.epoch() &&
          at->second.kind() != wire::WORKLOAD_KIND_UNSPECIFIED && wanted->second.spec().kind() == at->second.kind()) {
        at->second.set_generation(wanted->second.generation());
        at->second.clear_kind();
      }
      const auto stays = wanted != node.assigned.end() && wanted->second.epoch() == at->second.epoch() &&
                         wanted->second.generation() == at->second.generation();
      node.news = node.news || !stays;
      at = stays ? std::next(at) : node.has.erase(at);
    }
  }

  /// One second of a node's work; true when something changed.
  bool work(fake_node& node) {
    auto changed = false;
    for (const auto& [name, what] : node.assigned)
      if (what.outcome() == wire::PHASE_UNSPECIFIED && !node.has.contains(name) &&
          (node.connected || what.spec().on_disconnect().action() != wire::ON_DISCONNECT_STOP_AFTER)) {
        auto& status = node.has[name];
        status.set_name(name);
        status.set_epoch(what.epoch());
        status.set_generation(what.generation());
        status.set_phase(what.move().arrives() ? wire::PHASE_MIGRATING : wire::PHASE_STARTING);
        if (what.move().arrives())
          status.add_inlets("192.0.2.1:7000");
        else
          ++node.starts;
        changed = true;
      } else if (node.has.contains(name) && node.has.at(name).phase() == wire::PHASE_MIGRATING &&
                 !what.move().arrives()) {
        node.has.at(name).set_phase(wire::PHASE_RUNNING);
        changed = true;
      }
    for (auto at = node.has.begin(); at != node.has.end();) {
      auto& [name, status] = *at;
      const auto before = status.phase();
      if (status.phase() == wire::PHASE_STARTING)
        status.set_phase(wire::PHASE_RUNNING);
      else if (status.phase() == wire::PHASE_RUNNING && failing.contains(workload_of(name))) {
        status.set_phase(wire::PHASE_FAILED);
        status.set_exit_code(3);
      } else if (status.phase() == wire::PHASE_RUNNING && ending.contains(workload_of(name)))
        status.set_phase(wire::PHASE_COMPLETED);
      if (status.phase() == wire::PHASE_RUNNING)
        status.set_health("passing");
      changed = changed || before != status.phase();
      const auto& policy = node.specs[name].on_disconnect();
      if (!node.connected && policy.action() == wire::ON_DISCONNECT_STOP_AFTER &&
          stage.now() - node.cut_at >= latest_end(node.specs[name]))
        at = node.has.erase(at);
      else
        ++at;
    }
    return changed;
  }

  /// How long a copy may run on at most: by a clock that is slow by a tenth, and to the end of its grace.
  static std::chrono::milliseconds latest_end(const wire::WorkloadSpec& spec) {
    return std::chrono::milliseconds{spec.on_disconnect().after_ms() * 10 / 9 + spec.stop_grace_ms()};
  }

  static std::string workload_of(const std::string& instance) { return instance.substr(0, instance.rfind('.')); }

  std::map<std::string, caf::actor> agents_;
  std::uint64_t seconds_ = 0;
};

} // namespace novacron::spec
