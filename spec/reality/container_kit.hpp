#pragma once

/// A place for real containers, and a node's agent in this process.

#include "actors/host/process.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/container_driver.hpp"
#include "actors/workload/machine_driver.hpp"
#include "messages/language.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace novacron::spec {

/// Whether the scenario that asks can run containers here; says so if not.
bool can_run();

/// The same for machines: virtual machines, and sandboxes.
bool can_run_machines();

/// A driver for both, on that data directory and with these containers.
std::shared_ptr<workload::driver> with_machines(const std::filesystem::path& data,
                                                const std::shared_ptr<workload::container_driver>& containers,
                                                const std::shared_ptr<workload::machine_templates>& templates,
                                                const std::shared_ptr<workload::machine_checkpoints>& checkpoints);
/// The templates that take at most that much.
std::shared_ptr<workload::machine_templates> templates_in(const std::filesystem::path& data, std::uint64_t bytes_max);

/// A fresh directory with a busybox root in it; with `size` ("16m") on a disk of its own that has no more room.
struct ground {
  std::filesystem::path top;
  bool mounted = false;
  explicit ground(const std::string& size = {});
  ~ground();
  ground(const ground&) = delete;
  ground& operator=(const ground&) = delete;
  [[nodiscard]] std::filesystem::path root() const { return top / "root"; }
  [[nodiscard]] std::filesystem::path data() const { return top / "data"; }
};

/// An instance that runs `script`, without a network and with three seconds of grace.
wire::Instance instance(const std::string& name, const std::string& script, std::uint64_t epoch = 1);
wire::Instance batch(const std::string& name, const std::string& script);

/// The control group of that instance on the node with that data directory.
std::string group_of(const std::filesystem::path& data, const std::string& name);
/// How many processes it has, as the machine counts them.
std::size_t members(const std::filesystem::path& data, const std::string& name);

/// Everything of ours that must not be left: groups, devices, mounts and shims that name `data`.
std::vector<std::string> leftovers(const std::filesystem::path& data);

bool eventually(const std::function<bool()>& holds, duration limit = std::chrono::seconds{30});

/// A node's agent in this process.
struct site {
  ground place;
  caf::actor_system_config settings;
  std::unique_ptr<caf::actor_system> system;
  std::shared_ptr<workload::container_driver> driver;
  agent_actor agent;
  std::unique_ptr<caf::scoped_actor> self;
  std::uint64_t revision = 0;

  workload::container_settings driven;
  bool machines = false;
  std::uint64_t template_bytes = std::uint64_t{1} << 30;
  std::shared_ptr<workload::machine_templates> templates;
  std::uint64_t checkpoint_bytes = std::uint64_t{1} << 30;
  std::shared_ptr<workload::machine_checkpoints> checkpoints;

  explicit site(workload::container_settings with = {}, const std::string& disk = {}, bool machines = false)
      : place{disk}, driven{std::move(with)}, machines{machines} {
    add_language(settings);
    driven.data = place.data();
    begin();
  }

  void begin() {
    system = std::make_unique<caf::actor_system>(settings);
    driver = workload::make_container_driver(driven);
    if (machines)
      templates = templates_in(place.data(), template_bytes);
    if (machines)
      checkpoints = workload::make_machine_checkpoints(place.data(), "n", checkpoint_bytes);
    agent = workload::spawn_agent(
        *system, {.node = "n", .data = place.data(), .report_interval = std::chrono::milliseconds{200}},
        machines ? with_machines(place.data(), driver, templates, checkpoints) : driver,
        workload::access_to(place.root()), {});
    self = std::make_unique<caf::scoped_actor>(*system);
  }

  /// Ends everything it runs, then must have left nothing.
  ~site() {
    assign({});
    CHECK(eventually([&] { return report().instances().empty(); }, std::chrono::seconds{machines ? 120 : 30}));
    end();
    CHECK(eventually([&] { return leftovers(place.data()).empty(); }, std::chrono::seconds{10}));
    for (const auto& each : leftovers(place.data()))
      MESSAGE("left over: " << each);
  }

  /// The agent is gone; what it runs is not.
  void end() {
    caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
    self.reset();
    agent = agent_actor{};
    system.reset();
    driver.reset();
    templates.reset();
    checkpoints.reset();
  }

  template <class Answer, class Question>
  Answer ask(const Question& x) {
    auto answer = Answer{};
    (*self)
        ->request(agent, std::chrono::seconds{70}, x)
        .receive([&](const Answer& y) { answer = y; }, [&](const caf::error& e) { FAIL_CHECK(explain(e).text); });
    return answer;
  }

  void assign(const std::vector<wire::Instance>& all) {
    auto order = wire::Assign{};
    order.set_node("n");
    order.set_revision(++revision);
    for (const auto& each : all)
      *order.add_instances() = each;
    ask<wire::Done>(order);
  }

  wire::NodeReport report() { return ask<wire::NodeReport>(wire::ReportRequest{}); }

  wire::InstanceStatus status(const std::string& name) {
    const auto all = report();
    for (const auto& each : all.instances())
      if (each.name() == name)
        return each;
    return {};
  }

  wire::InstanceStatus await(const std::string& name, const std::function<bool(const wire::InstanceStatus&)>& good) {
    auto last = wire::InstanceStatus{};
    const auto limit = machines ? std::chrono::seconds{240} : std::chrono::seconds{30};
    const auto came = eventually([&] { return good(last = status(name)); }, limit);
    INFO(last.ShortDebugString());
    CHECK(came);
    return last;
  }
  wire::InstanceStatus await(const std::string& name, wire::Phase phase) {
    return await(name, [&](const auto& x) { return x.phase() == phase; });
  }

  std::string log(const std::string& name, std::int64_t offset = 0) {
    auto x = wire::LogRequest{};
    x.set_instance(name);
    x.set_offset(offset);
    x.set_limit(512 << 10);
    return ask<wire::LogChunk>(x).data();
  }

  /// The whole output of a command run inside, and its exit code.
  std::pair<std::string, int> exec(const std::string& name, std::vector<std::string> command, bool terminal = false,
                                   const std::string& input = {}) {
    auto start = wire::ExecStart{};
    start.set_instance(name);
    start.mutable_command()->Assign(command.begin(), command.end());
    start.set_terminal(terminal);
    start.set_rows(33);
    start.set_columns(99);
    auto next = wire::ExecExchange{};
    next.set_session(ask<wire::ExecSession>(start).session());
    next.set_input(input);
    next.set_input_ended(!terminal);
    next.set_wait_ms(5000);
    auto out = std::string{};
    for (auto i = 0; i < 100; ++i) {
      const auto now = ask<wire::ExecOutput>(next);
      out += now.output() + now.errors();
      if (now.exited())
        return {out, now.exit_code()};
      next.clear_input();
      next.clear_input_ended();
    }
    return {out, -1};
  }
};

/// A node's agent in a process of its own, which can be killed.
class agent_process {
public:
  explicit agent_process(const ground& place) : place_{place} {}
  /// Ends everything it runs; nothing must be left then.
  ~agent_process();

  /// Starts it with these instances assigned.
  void start(const std::vector<wire::Instance>& all);
  /// Has the first of them written down, as what is next; answers are not waited for.
  void checkpoint() const;
  /// Has the first of them become a sandbox ('s') or a container ('c'); answers are not waited for.
  void convert(char to) const;
  /// Kills it, without warning.
  void kill();
  /// Lets it end by itself. What it runs goes on.
  void end();
  /// Cuts it off from its controller, or heals that.
  void cut(bool off) const;
  /// What it last wrote down of an instance.
  [[nodiscard]] wire::InstanceStatus status(const std::string& name) const;

private:
  void await_end();

  const ground& place_;
  host::child child_;
  int input_ = -1;
  std::uint64_t revision_ = 0;
};

} // namespace novacron::spec
