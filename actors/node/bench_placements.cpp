#include "actors/node/bench_placements.hpp"

#include "actors/scheduler/scheduler_actor.hpp"
#include "actors/state/ledger_actor.hpp"
#include "messages/language.hpp"

#include <caf/all.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

namespace novacron::node {

/// What the bench says to itself. It never leaves the process.
struct begin {};
struct go_on {};
struct too_late {};

} // namespace novacron::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::begin)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::go_on)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::too_late)

namespace novacron::node {
namespace {

using monotonic = std::chrono::steady_clock;
using namespace std::chrono_literals;

double seconds(monotonic::duration x) {
  return std::chrono::duration<double>(x).count();
}

constexpr auto zones = 5u;
/// A node without reports stays present; a run that takes longer than this says what it has.
constexpr auto time_max = 300s;
constexpr auto instance_milli = std::uint64_t{1000};

/// What is asked for: first what has to be there, then what is measured.
struct plan {
  std::vector<wire::WorkloadSpec> before;
  std::size_t placed_before = 0;
  std::vector<wire::WorkloadSpec> measured;
  std::size_t instances = 0;
  std::uint64_t node_milli = 0;
  /// For each that is measured, the oldest of all goes.
  bool churns = false;
};

wire::WorkloadSpec workload(const std::string& name, std::uint32_t replicas = 1, std::uint64_t cpu = instance_milli) {
  auto spec = wire::WorkloadSpec{};
  spec.set_name(name);
  spec.set_kind(wire::WORKLOAD_KIND_CONTAINER);
  spec.mutable_program()->set_image("pause:1");
  spec.mutable_resources()->set_cpu_milli(cpu);
  spec.mutable_resources()->set_memory_bytes(64 << 20);
  spec.set_replicas(replicas);
  return spec;
}

/// Where there are more nodes than instances, each still holds one.
std::uint64_t milli_per_node(const bench_placements_options& x, std::uint64_t wanted) {
  return std::max(instance_milli, static_cast<std::uint64_t>(static_cast<double>(wanted) / x.fill / x.nodes) + 1);
}

void ask(plan& x, wire::WorkloadSpec spec) {
  x.instances += spec.replicas();
  x.measured.push_back(std::move(spec));
}

void plan_one_each(plan& x, std::uint32_t count) {
  for (auto i = 0u; i < count; ++i)
    ask(x, workload(fmt::format("w-{}", i)));
}

/// One in ten is the anchor of the nine that have to be on its node.
void plan_affinity(plan& x, const bench_placements_options& options) {
  const auto groups = std::max(1u, options.workloads / 10);
  for (auto group = 0u; group < groups; ++group)
    x.before.push_back(workload(fmt::format("anchor-{}", group)));
  x.placed_before = groups;
  for (auto i = groups; i < options.workloads; ++i) {
    auto spec = workload(fmt::format("w-{}", i));
    spec.mutable_placement()->add_near(fmt::format("anchor-{}", i % groups));
    ask(x, std::move(spec));
  }
  // Anchors that share a node fill it together.
  x.node_milli *= 3;
}

void plan_replicas(plan& x, std::uint32_t count, std::uint32_t replicas, const auto& change) {
  for (auto i = 0u; i * replicas < count; ++i) {
    auto spec = workload(fmt::format("w-{}", i), replicas);
    change(spec);
    ask(x, std::move(spec));
  }
}

/// Nodes with six of eight cores taken by three, and newcomers that need four: one has to move for each. Two nodes have
/// room for one newcomer and who had to move; four of five that fit come.
void plan_preemption(plan& x, const bench_placements_options& options) {
  x.node_milli = 8000;
  for (auto i = 0u; i < options.nodes * 3; ++i)
    x.before.push_back(workload(fmt::format("low-{}", i), 1, 2000));
  x.placed_before = options.nodes * 3;
  for (auto i = 0u; i < options.nodes * 2 / 5; ++i) {
    auto spec = workload(fmt::format("w-{}", i), 1, 4000);
    spec.set_priority(10);
    ask(x, std::move(spec));
  }
}

plan make_plan(const bench_placements_options& options) {
  auto x = plan{};
  x.node_milli = milli_per_node(options, options.workloads * instance_milli);
  if (options.workload == "Basic") {
    plan_one_each(x, options.workloads);
  } else if (options.workload == "Affinity") {
    plan_affinity(x, options);
  } else if (options.workload == "AntiAffinity") {
    plan_replicas(x, options.workloads, 10, [](auto& spec) { spec.mutable_placement()->add_apart(spec.name()); });
  } else if (options.workload == "TopologySpread") {
    plan_replicas(x, options.workloads, 10, [](auto& spec) {
      auto& rule = *spec.mutable_placement()->add_spread();
      rule.set_key("zone");
      rule.set_max_skew(1);
    });
  } else if (options.workload == "Preemption") {
    plan_preemption(x, options);
  } else if (options.workload == "Unschedulable") {
    for (auto i = 0u; i < std::max(1u, options.workloads / 50); ++i)
      x.before.push_back(workload(fmt::format("never-{}", i), 1, 1'000'000));
    plan_one_each(x, options.workloads);
  } else if (options.workload == "MixedChurn") {
    // One goes for each that comes, from the first on: what is there before is as much as is there later.
    x.placed_before = std::max<std::size_t>(1, options.workloads / 10);
    for (auto i = std::size_t{0}; i < x.placed_before; ++i)
      x.before.push_back(workload(fmt::format("first-{}", i)));
    plan_one_each(x, options.workloads);
    x.churns = true;
  } else {
    throw std::runtime_error{"--workload=" + options.workload + " should be Basic, Affinity, AntiAffinity, " +
                             "TopologySpread, Preemption, Unschedulable or MixedChurn"};
  }
  return x;
}

wire::Resources capacity_of(const plan& x) {
  auto all = wire::Resources{};
  all.set_cpu_milli(x.node_milli);
  all.set_memory_bytes(std::uint64_t{64} << 30);
  return all;
}

struct found {
  std::size_t placed = 0;
  /// From the order for its workload until a node was sent an instance, and when that was.
  std::vector<double> took;
  std::vector<double> when;
};

/// A node that runs at once whatever it is assigned.
struct puppet {
  std::uint64_t number = 0;
  std::map<std::string, wire::InstanceStatus> has;
};

struct stage_state {
  static inline const char* name = "placements";
  plan asked;
  scheduler_actor whom;
  std::unordered_map<std::string, puppet> nodes;
  std::size_t nodes_wanted = 0;
  /// When each workload was asked for; of those that are measured.
  std::unordered_map<std::string, monotonic::time_point> begun;
  std::unordered_map<std::string, std::uint64_t> seen;
  std::size_t placed_before = 0;
  /// The scheduler knows all nodes: orders may come.
  bool open = false;
  bool measuring = false;
  std::size_t next_before = 0;
  std::size_t next = 0;
  std::size_t answered = 0;
  std::size_t answered_before = 0;
  std::size_t ended = 0;
  std::uint32_t outstanding = 0;
  /// Orders per second; 0: as fast as answers come.
  double rate = 0;
  monotonic::time_point start;
  found result;
  std::shared_ptr<std::promise<found>> done;
};

using pointer = caf::stateful_actor<stage_state>*;

void finish(pointer self) {
  auto& x = self->state;
  if (!x.done)
    return;
  std::exchange(x.done, nullptr)->set_value(std::move(x.result));
}

void submit_next(pointer self);

void end_oldest(pointer self) {
  auto& x = self->state;
  if (!x.asked.churns)
    return;
  const auto all_before = x.asked.before.size();
  auto order = wire::StopWorkload{};
  order.set_name((x.ended < all_before ? x.asked.before[x.ended] : x.asked.measured[x.ended - all_before]).name());
  ++x.ended;
  order.set_forget(true);
  self->request(x.whom, 60s, order).then([](const wire::Done&) {}, [](const caf::error&) {});
}

void send_order(pointer self, const wire::WorkloadSpec& spec, bool measured) {
  auto order = wire::Submit{};
  *order.mutable_spec() = spec;
  if (measured)
    self->state.begun[spec.name()] = monotonic::now();
  const auto answered = [=] {
    auto& x = self->state;
    ++(measured ? x.answered : x.answered_before);
    if (!measured || x.rate == 0)
      submit_next(self);
  };
  self->request(self->state.whom, 60s, order)
      .then([=](const wire::Submitted&) { answered(); }, [=](const caf::error&) { answered(); });
}

void begin_measuring(pointer self) {
  auto& x = self->state;
  if (!x.open || x.measuring || x.nodes.size() < x.nodes_wanted || x.answered_before < x.asked.before.size() ||
      x.placed_before < x.asked.placed_before)
    return;
  x.measuring = true;
  x.start = monotonic::now();
  if (x.rate > 0)
    return self->send(self, go_on{});
  for (auto i = 0u; i < x.outstanding; ++i)
    submit_next(self);
}

void submit_next(pointer self) {
  auto& x = self->state;
  if (!x.measuring) {
    if (x.next_before < x.asked.before.size())
      return send_order(self, x.asked.before[x.next_before++], false);
    return begin_measuring(self);
  }
  if (x.next == x.asked.measured.size())
    return;
  send_order(self, x.asked.measured[x.next++], true);
  end_oldest(self);
}

/// As many as are due by now.
void keep_pace(pointer self) {
  auto& x = self->state;
  const auto due = static_cast<std::size_t>(seconds(monotonic::now() - x.start) * x.rate);
  while (x.next < x.asked.measured.size() && x.next < due)
    submit_next(self);
  if (x.next < x.asked.measured.size())
    self->delayed_send(self, 1ms, go_on{});
}

void arrive(pointer self, const wire::Instance& instance) {
  auto& x = self->state;
  auto& epoch = x.seen[instance.name()];
  const auto fresh = std::exchange(epoch, instance.epoch()) == 0;
  if (!fresh)
    return;
  const auto begun = x.begun.find(instance.workload());
  if (begun == x.begun.end()) {
    ++x.placed_before;
    return begin_measuring(self);
  }
  const auto now = monotonic::now();
  ++x.result.placed;
  x.result.took.push_back(seconds(now - begun->second));
  x.result.when.push_back(seconds(now - x.start));
  if (x.result.placed == x.asked.instances)
    finish(self);
}

wire::InstanceStatus runs(const wire::Instance& instance) {
  auto status = wire::InstanceStatus{};
  status.set_name(instance.name());
  status.set_epoch(instance.epoch());
  status.set_generation(1);
  status.set_phase(wire::PHASE_RUNNING);
  return status;
}

template <class Report>
void report(pointer self, Report report, const std::string& node, std::uint64_t revision) {
  report.set_node(node);
  report.set_revision(revision);
  report.set_incarnation(1);
  report.set_number(++self->state.nodes[node].number);
  // Nobody waits for the answer: an actor that waits for thousands of them is slow.
  caf::anon_send(self->state.whom, std::move(report));
}

void take(pointer self, const wire::Assign& what) {
  auto& node = self->state.nodes[what.node()];
  if (what.part() == 0)
    node.has.clear();
  for (const auto& instance : what.instances()) {
    if (instance.outcome() != wire::PHASE_UNSPECIFIED)
      continue;
    node.has[instance.name()] = runs(instance);
    arrive(self, instance);
  }
  if (what.part() + 1 < what.parts())
    return;
  begin_measuring(self);
  auto all = wire::NodeReport{};
  all.set_takes_changes(true);
  *all.mutable_capacity() = capacity_of(self->state.asked);
  for (const auto& [name, status] : node.has)
    *all.add_instances() = status;
  report(self, std::move(all), what.node(), what.revision());
}

void take(pointer self, const wire::AssignChange& what) {
  auto& node = self->state.nodes[what.node()];
  auto change = wire::ReportChange{};
  change.set_base(node.number);
  for (const auto& name : what.gone())
    if (node.has.erase(name) > 0)
      change.add_gone(name);
  for (const auto& instance : what.instances()) {
    if (instance.outcome() != wire::PHASE_UNSPECIFIED)
      continue;
    *change.add_instances() = node.has[instance.name()] = runs(instance);
    arrive(self, instance);
  }
  report(self, std::move(change), what.node(), what.revision());
}

caf::behavior perform(pointer self, plan asked, const bench_placements_options& options, double rate,
                      std::shared_ptr<std::promise<found>> done) {
  self->state.asked = std::move(asked);
  self->state.nodes_wanted = options.nodes;
  self->state.outstanding = options.outstanding;
  self->state.rate = rate;
  self->state.done = std::move(done);
  return {
      [=](const wire::Assign& x) {
        take(self, x);
        return wire::Done{};
      },
      [=](const wire::AssignChange& x) {
        take(self, x);
        return wire::Done{};
      },
      [=](const caf::actor& whom) {
        self->state.whom = caf::actor_cast<scheduler_actor>(whom);
      },
      [=](begin) {
        self->state.open = true;
        self->delayed_send(self, time_max, too_late{});
        for (auto i = 0u; i < self->state.outstanding && !self->state.measuring; ++i)
          submit_next(self);
      },
      [=](go_on) { keep_pace(self); },
      [=](too_late) { finish(self); },
  };
}

std::string node_name(std::uint32_t number) {
  return fmt::format("node-{:06}", number);
}

void add_nodes(const scheduler_actor& whom, const bench_placements_options& options, const wire::Resources& capacity) {
  for (auto i = 0u; i < options.nodes; ++i) {
    auto news = wire::NodeArrived{};
    auto& facts = *news.mutable_facts();
    facts.set_name(node_name(i));
    facts.set_role("edge");
    facts.set_zone(fmt::format("z{}", i % zones));
    facts.set_hosts_workloads(true);
    facts.set_incarnation(1);
    *facts.mutable_capacity() = capacity;
    caf::anon_send(whom, std::move(news));
  }
}

/// One ledger, one scheduler, puppets for nodes: until all is placed.
found play(const bench_placements_options& options, const std::string& name, double rate) {
  auto settings = caf::actor_system_config{};
  add_language(settings);
  auto system = caf::actor_system{settings};
  auto keep = ledger::config{};
  keep.server.node = "cloud-1";
  keep.server.directory = options.directory / name / "ledger";
  keep.server.socket = options.directory / name / "ledger.sock";
  keep.server.bootstrap = true;
  keep.program = options.program;
  keep.waiting_max = 1 << 20;
  std::filesystem::create_directories(keep.server.directory);
  const auto book = ledger::spawn_ledger(system, keep);
  auto asked = make_plan(options);
  const auto capacity = capacity_of(asked);
  auto done = std::make_shared<std::promise<found>>();
  auto result = done->get_future();
  const auto stage = system.spawn(perform, std::move(asked), options, rate, done);
  auto decide = scheduler_config{};
  decide.reconcile.node = "cloud-1";
  decide.waiting_max = 1 << 20;
  decide.wall_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const auto agent = caf::actor_cast<caf::actor>(stage);
  const auto boss = spawn_scheduler(
      system, decide, book, [agent](const std::string&) { return agent; }, 1);
  // Before the first assignment comes: what is reported to nobody is lost.
  caf::anon_send(agent, caf::actor_cast<caf::actor>(boss));
  add_nodes(boss, options, capacity);
  {
    auto self = caf::scoped_actor{system};
    const auto ready = monotonic::now() + 30s;
    // They are written down in the order of their names.
    auto last = wire::NodeListRequest{};
    last.set_name(node_name(options.nodes - 1));
    for (auto known = false; !known;) {
      if (monotonic::now() > ready)
        throw std::runtime_error{"the scheduler did not come to know its nodes"};
      self->request(boss, 10s, last)
          .receive([&](const wire::NodeList&) { known = true; },
                   [&](const caf::error&) { std::this_thread::sleep_for(50ms); });
    }
  }
  caf::anon_send(agent, begin{});
  auto all = result.get();
  for (const auto& each : {agent, caf::actor_cast<caf::actor>(boss), caf::actor_cast<caf::actor>(book)})
    caf::anon_send_exit(each, caf::exit_reason::user_shutdown);
  return all;
}

double rate_between(const std::vector<double>& when, std::size_t from, std::size_t to) {
  if (to <= from + 1 || to > when.size())
    return 0;
  const auto length = when[to - 1] - when[from];
  return length > 0 ? static_cast<double>(to - 1 - from) / length : 0;
}

} // namespace

std::vector<host::figure> bench_placements(const bench_placements_options& options) {
  const auto wanted = make_plan(options).instances;
  const auto fast = play(options, "fast", 0);
  if (fast.placed == 0)
    throw std::runtime_error{"nothing was placed"};
  const auto count = fast.when.size();
  const auto fifth = count / 5;
  const auto rate = static_cast<double>(count) / std::max(fast.when.back(), 1e-9);
  const auto first = rate_between(fast.when, 0, fifth);
  const auto last = rate_between(fast.when, count - fifth, count);
  const auto orders = static_cast<double>(make_plan(options).measured.size()) / static_cast<double>(wanted);
  const auto calm = play(options, "calm", rate * orders / 2);
  return {{"placement_rate", rate, "1/s"},
          {"rate_first", first, "1/s"},
          {"rate_last", last, "1/s"},
          {"flatness", first > 0 ? last / first : 0, "1"},
          {"placement_p50", host::quantile(calm.took, 0.5), "s"},
          {"placement_p99", host::quantile(calm.took, 0.99), "s"},
          {"placed", static_cast<double>(count) / static_cast<double>(wanted), "1"}};
}

} // namespace novacron::node
