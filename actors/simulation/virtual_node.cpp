#include "actors/simulation/virtual_node.hpp"

#include "actors/node/compass_actor.hpp"
#include "actors/node/door_actor.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "actors/state/ledger_actor.hpp"
#include "actors/workload/agent_actor.hpp"

#include <fmt/format.h>

#include <utility>

namespace novacron::simulation {

using node::room;

virtual_node::virtual_node(node_surroundings around, machine& on)
    : around_{std::move(around)}, on_{on}, life_{on.life}, names_{around_.system, on.facts.name(), {.shards = 1}} {
  if (on_.facts.hosts_workloads())
    driver_ = std::make_shared<virtual_driver>(
        on_, virtual_driver::surroundings{around_.stage, around_.images, around_.chance, around_.witness,
                                          [this] { return around_.wall_ms(on_); }, around_.settings.planted});
  supervisor_ = node::spawn_supervisor(around_.system, names_, rooms(), {});
  auto settings = node::door_config{};
  for (const auto& peer : around_.joins)
    settings.dials.emplace(peer, node::address{peer, 7100});
  settings.health = [] { return wire::Health{}; };
  settings.leave = [](const std::string&) {};
  threshold_ = node::spawn_door(around_.system, neighbours(), std::move(settings));
  around_.post.publish(on_.facts.name(), life_, caf::actor_cast<caf::strong_actor_ptr>(threshold_));
}

virtual_node::~virtual_node() = default;

wire::NodeFacts virtual_node::facts() const {
  auto x = on_.facts;
  if (around_.settings.planted == plant::doubled_capacity)
    x.mutable_capacity()->set_cpu_milli(2 * x.capacity().cpu_milli());
  return x;
}

node::neighbourhood virtual_node::neighbours() {
  auto x = node::neighbourhood{};
  x.names = &names_;
  x.transport = around_.post.make_transport(life_);
  x.own_papers = [papers = around_.notary.papers_of(on_.facts.name(), on_.facts.role())] { return papers; };
  x.wall_clock = [this] { return host::wall_time{std::chrono::milliseconds{around_.wall_ms(on_)}}; };
  x.denied = &around_.denied;
  x.facts = facts();
  if (on_.is_controller())
    x.watchers.push_back(handle_of(*names_.open("scheduler")));
  if (driver_)
    x.watchers.push_back(handle_of(*names_.open("agent")));
  x.refused = [](const std::string&, const std::string&) {};
  x.pulse = around_.settings.pulse;
  x.seed = drawn();
  x.follows = !on_.is_controller();
  return x;
}

std::vector<room> virtual_node::rooms() {
  auto all = std::vector<room>{};
  if (on_.is_controller()) {
    all.push_back(ledger());
    all.push_back(compass());
    all.push_back(scheduler());
  }
  if (driver_)
    all.push_back(agent());
  return all;
}

void virtual_node::introduce(const caf::actor& newcomer) const {
  auto tell = [&](const wire::NodeFacts& facts) {
    auto news = wire::NodeArrived{};
    *news.mutable_facts() = facts;
    caf::anon_send(newcomer, std::move(news));
  };
  tell(facts());
  for (const auto& facts : names_.present())
    tell(facts);
}

room virtual_node::ledger() {
  return {"ledger", [this] {
            auto settings = novacron::ledger::config{};
            settings.server.node = on_.facts.name();
            settings.client = fmt::format("{}.{}.{}", on_.facts.name(), on_.facts.incarnation(), ++starts_);
            settings.local = [this] { return around_.truth.start(on_.number, life_); };
            for (const auto& other : around_.controllers)
              if (other != on_.facts.name())
                settings.peers.push_back(other);
            settings.peer = [this](const std::string& node) { return names_.handle(node, "ledger"); };
            return caf::actor_cast<caf::actor>(novacron::ledger::spawn_ledger(around_.system, std::move(settings)));
          }};
}

room virtual_node::compass() {
  return {
      "compass",
      [this] { return node::spawn_compass(around_.system, handle_of<ledger_actor>(*names_.open("ledger")), names_); },
      "ledger"};
}

room virtual_node::scheduler() {
  return {"scheduler",
          [this] {
            auto settings = scheduler_config{};
            settings.reconcile.node = on_.facts.name();
            settings.reconcile.policy = around_.settings.policy;
            settings.reconcile.sight.patience = around_.settings.patience;
            settings.reconcile.sight.silence =
                std::max<duration>(settings.reconcile.sight.silence, 4 * around_.settings.report_interval);
            settings.wall_ms = around_.wall_ms(on_);
            // Nobody in a world guesses; but the same seed has to give the same run.
            settings.reconcile.draw_token = [this] { return fmt::format("{:016x}", drawn()); };
            auto started = caf::actor_cast<caf::actor>(spawn_scheduler(
                around_.system, settings, handle_of<ledger_actor>(*names_.open("ledger")),
                [this](const std::string& node) { return names_.handle(node, "agent"); }, drawn()));
            introduce(started);
            return started;
          },
          "ledger"};
}

room virtual_node::agent() {
  return {"agent", [this] {
            auto settings = workload::agent_settings{};
            settings.node = on_.facts.name();
            settings.incarnation = on_.facts.incarnation();
            settings.data = "/virtual";
            settings.capacity = facts().capacity();
            settings.report_interval = around_.settings.report_interval;
            settings.disk = on_.disk;
            settings.lease = std::make_shared<virtual_lease>(on_);
            // A worker thread takes a moment, and ends with the process.
            settings.workers =
                std::make_shared<host::crew>([stage = &around_.stage, life = life_](std::function<void()> work) {
                  stage->plan(std::chrono::microseconds{300}, life, std::move(work));
                });
            settings.since_boot = [this] {
              if (around_.settings.planted == plant::wall_lease)
                return duration{around_.stage.now() - on_.booted + on_.wall_offset};
              return duration{around_.stage.now() - on_.booted};
            };
            auto started = caf::actor_cast<caf::actor>(workload::spawn_agent(
                around_.system, settings, driver_, workload::access_to(std::filesystem::path{"/virtual"}),
                names_.leading("scheduler")));
            introduce(started);
            return started;
          }};
}

} // namespace novacron::simulation
