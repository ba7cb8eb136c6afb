#include "actors/node/node_rooms.hpp"

#include "actors/host/log.hpp"
#include "actors/host/tls.hpp"
#include "actors/migration/watch_library.hpp"
#include "actors/migration/write_tracker.hpp"
#include "actors/node/authority_actor.hpp"
#include "actors/node/compass_actor.hpp"
#include "actors/node/credentials.hpp"
#include "actors/node/credentials_actor.hpp"
#include "actors/node/doctor_probe.hpp"
#include "actors/node/guest_moving.hpp"
#include "actors/node/observer_actor.hpp"
#include "actors/scheduler/function_actor.hpp"
#include "actors/scheduler/scheduler_actor.hpp"
#include "actors/state/ledger_actor.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/checkpoint_actor.hpp"
#include "actors/workload/container_driver.hpp"
#include "actors/workload/driver_by_kind.hpp"
#include "actors/workload/image_actor.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/qemu_monitor.hpp"
#include "actors/workload/template_actor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <stop_token>
#include <thread>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Bringing an image from another node may take as long as the network wants.
constexpr auto pull_patience = std::chrono::minutes{30};

/// How long one question where a guest runs may take, and the pause before the next.
constexpr auto decision_patience = std::chrono::seconds{2};
constexpr auto decision_pause = std::chrono::milliseconds{100};

/// Templates are kept in memory too while machines begin from them, so a small host has few.
std::uint64_t template_bytes_max(const room_surroundings& around) {
  constexpr auto most = std::uint64_t{1} << 30;
  constexpr auto part = 8;
  return around.self.templates.value_or(std::min(most, around.facts.capacity().memory_bytes() / part));
}

/// Checkpoints lie on the disk only, and are made by people: they are told when there is no room for another.
std::uint64_t checkpoint_bytes_max(const room_surroundings& around) {
  return around.self.checkpoints.value_or(std::uint64_t{10} << 30);
}

/// What has a guest's writes followed.
fs::path preload_for(const fs::path& data) {
  const auto place = data / "watch";
  fs::create_directories(place);
  return fs::canonical(migration::write_watch_library(place));
}

} // namespace

node_rooms::node_rooms(room_surroundings around) : around_{std::move(around)} {
  store_ = std::make_shared<workload::image_store>(around_.self.data_dir / "images");
  if (around_.self.workloads) {
    auto settings = workload::container_settings{};
    settings.data = around_.self.data_dir;
    settings.mountable = around_.self.mounts;
    settings.masquerade = around_.self.masquerade;
    const auto containers = workload::make_container_driver(settings);
    auto wanted = workload::machine_settings{};
    wanted.data = around_.self.data_dir;
    wanted.monitor = workload::make_qemu_monitor();
    wanted.networks = containers->networks();
    wanted.accelerated = [] { return is_usable(try_kvm()); };
    wanted.preload_lack = migration::tracking_lack();
    if (wanted.preload_lack.empty())
      wanted.preload = preload_for(around_.self.data_dir);
    wanted.templates = templates_ =
        workload::make_machine_templates(around_.self.data_dir, wanted.monitor, template_bytes_max(around_));
    wanted.checkpoints = checkpoints_ =
        workload::make_machine_checkpoints(around_.self.data_dir, around_.self.name, checkpoint_bytes_max(around_));
    auto lacks = containers->abilities().missing;
    std::ranges::copy(workload::machine_lacks(wanted), std::back_inserter(lacks));
    machines_ = workload::make_machine_driver(wanted);
    driver_ = workload::make_driver_by_kind(containers, machines_);
    for (const auto& lack : lacks)
      host::log_warn("agent", "{}", lack);
  }
}

node_rooms::~node_rooms() = default;

std::vector<room> node_rooms::all() {
  auto rooms = std::vector<room>{observer()};
  if (around_.self.is_controller()) {
    rooms.push_back(ledger());
    rooms.push_back(compass());
    rooms.push_back(scheduler());
    rooms.push_back(functions());
    if (fs::exists(host::trust_files_in(around_.self.data_dir / "trust").authority_key))
      rooms.push_back(authority());
  }
  rooms.push_back(credentials());
  rooms.push_back(images());
  if (around_.self.workloads) {
    rooms.push_back(agent());
    rooms.push_back(templates());
    rooms.push_back(checkpoints());
  }
  return rooms;
}

std::vector<caf::actor> node_rooms::link_watchers() {
  auto watchers = std::vector<caf::actor>{};
  auto add = [&](const char* title) { watchers.push_back(handle_of(*around_.names.open(title))); };
  if (around_.self.is_controller()) {
    add("scheduler");
    add("authority");
  }
  if (around_.self.workloads)
    add("agent");
  return watchers;
}

void node_rooms::end() {
  around_.names.lead("");
}

void node_rooms::introduce(const caf::actor& newcomer) const {
  auto tell = [&](const wire::NodeFacts& facts) {
    auto news = wire::NodeArrived{};
    *news.mutable_facts() = facts;
    caf::anon_send(newcomer, std::move(news));
  };
  tell(around_.facts);
  for (const auto& facts : around_.names.present())
    tell(facts);
}

room node_rooms::observer() {
  return {"observer", [this] {
            return caf::actor_cast<caf::actor>(
              spawn_observer(around_.system, around_.names, around_.numbers, {.wall_clock_ms = wall_ms}));
          }};
}

room node_rooms::ledger() {
  return {"ledger", [this] {
            auto settings = ledger::config{};
            const auto& self = around_.self;
            settings.server.node = self.name;
            settings.server.directory = self.data_dir / "ledger";
            settings.server.socket = self.data_dir / "ledger.sock";
            settings.server.bootstrap = self.join.empty();
            if (self.ledger) {
              settings.server.address = to_string(*self.ledger);
              settings.server.trust = self.data_dir / "trust";
            }
            settings.program = {around_.program, "ledger-server"};
            settings.numbers = around_.numbers;
            for (const auto& target : self.join)
              if (!target.name.empty())
                settings.peers.push_back(target.name);
            for (const auto& other : around_.settings.nodes)
              if (other.is_controller() && other.name != self.name)
                settings.peers.push_back(other.name);
            settings.peer = [this](const std::string& node) { return around_.names.handle(node, "ledger"); };
            return caf::actor_cast<caf::actor>(ledger::spawn_ledger(around_.system, std::move(settings)));
          }};
}

room node_rooms::compass() {
  return {"compass",
          [this] { return spawn_compass(around_.system, handle_of<ledger_actor>(*around_.names.open("ledger")), around_.names); },
          "ledger"};
}

room node_rooms::scheduler() {
  return {"scheduler",
          [this] {
            auto settings = scheduler_config{};
            settings.reconcile.node = around_.self.name;
            settings.reconcile.policy = around_.settings.scheduler.policy;
            settings.reconcile.sight.patience = around_.settings.scheduler.patience;
            settings.wall_ms = wall_ms();
            settings.numbers = around_.numbers;
            auto started = caf::actor_cast<caf::actor>(spawn_scheduler(
              around_.system, settings, handle_of<ledger_actor>(*around_.names.open("ledger")),
              [this](const std::string& node) { return around_.names.handle(node, "agent"); }, around_.facts.incarnation()));
            introduce(started);
            return started;
          },
          "ledger"};
}

room node_rooms::functions() {
  return {"functions",
          [this] {
            auto settings = function_config{};
            settings.numbers = around_.numbers;
            return caf::actor_cast<caf::actor>(
                spawn_functions(around_.system, settings, handle_of<ledger_actor>(*around_.names.open("ledger")),
                                handle_of<scheduler_actor>(*around_.names.open("scheduler")),
                                [this](const std::string& node) { return around_.names.handle(node, "agent"); }));
          },
          "ledger"};
}

room node_rooms::authority() {
  return {"authority",
          [this] {
            auto settings = authority_config{};
            settings.life = around_.settings.trust.life;
            auto around = authority_surroundings{};
            around.authority = read_authority(around_.self.data_dir / "trust");
            around.ledger = handle_of<ledger_actor>(*around_.names.open("ledger"));
            around.client = fmt::format("authority/{}/{}", around_.self.name, around_.facts.incarnation() + ++starts_);
            around.denied = around_.denied;
            around.refused = [this] { around_.refused("bad_token", "no token for this"); };
            around.tell = [this](const std::string& node, const wire::DenyList& list) {
              caf::anon_send(around_.names.handle(node, "credentials"), list);
            };
            auto started = caf::actor_cast<caf::actor>(spawn_authority(around_.system, settings, std::move(around)));
            introduce(started);
            return started;
          },
          "ledger"};
}

room node_rooms::credentials() {
  return {"credentials", [this] {
            auto around = credentials_surroundings{};
            around.directory = around_.self.data_dir / "trust";
            around.name = around_.self.name;
            around.role = around_.self.role;
            around.authority = [this] { return around_.names.find("authority"); };
            around.denied = around_.denied;
            around.renewed = [](const host::identity& now) { host::log_info("credentials", "renewed until {}", host::rfc3339(now.not_after)); };
            around.seed = around_.facts.incarnation();
            return caf::actor_cast<caf::actor>(spawn_credentials(around_.system, {}, std::move(around)));
          }};
}

room node_rooms::images() {
  return {"images", [this] {
            const auto total = [store = store_] {
              auto bytes = 0.0;
              for (const auto& image : store->list())
                bytes += static_cast<double>(image.size_bytes);
              return bytes;
            };
            around_.numbers->sample("image_store_bytes", "Size of the images in this node's store.", host::metrics::kind::gauge, total);
            around_.numbers->sample("image_store_images", "Images in this node's store.", host::metrics::kind::gauge,
                                    [store = store_] { return static_cast<double>(store->list().size()); });
            auto settings = workload::image_actor_config{};
            settings.node = around_.self.name;
            if (!around_.self.is_controller())
              settings.upstream.push_back(around_.names.leading("images"));
            for (const auto& target : around_.self.join)
              if (!target.name.empty())
                settings.upstream.push_back(around_.names.handle(target.name, "images"));
            return caf::actor_cast<caf::actor>(workload::spawn_image_actor(around_.system, store_, std::move(settings)));
          }};
}

room node_rooms::templates() {
  return {"templates", [this] {
            return caf::actor_cast<caf::actor>(
                workload::spawn_template_actor(around_.system, machines_, templates_, {.node = around_.self.name}));
          }};
}

room node_rooms::checkpoints() {
  return {"checkpoints", [this] {
            return caf::actor_cast<caf::actor>(
                workload::spawn_checkpoint_actor(around_.system, machines_, checkpoints_));
          }};
}

workload::image_access node_rooms::image_access() const {
  auto access = workload::access_to(store_);
  // What is not here yet is pulled from the nodes that this one joined, and then taken as if it had been here.
  if (around_.self.join.empty())
    return access;
  access.fetch = [here = access.acquire, this](const std::string& image, const std::string& holder) {
    auto wish = wire::ImageEnsure{};
    wish.set_name(image);
    auto trouble = std::optional<workload::trouble>{};
    auto self = caf::scoped_actor{around_.system};
    self->request(handle_of(*around_.names.open("images")), pull_patience, wish)
      .receive([](const wire::Image&) {},
               [&](caf::error& problem) {
                 const auto why = explain(problem);
                 trouble = workload::trouble{why.kind, why.text};
               });
    return trouble ? workload::outcome<workload::image_root>{*trouble} : here(image, holder);
  };
  return access;
}

/// Asks the scheduler until it has decided: nothing else is known to whoever has asked once.
std::shared_ptr<workload::guest_mover> node_rooms::guest_mover() {
  if (mover_)
    return mover_;
  auto settings = guest_moving{};
  settings.node = around_.self.name;
  settings.data = around_.self.data_dir;
  settings.denied = around_.denied;
  settings.decide = [this, scheduler = around_.names.leading("scheduler")](const wire::SettleMove& what,
                                                                           const std::stop_token& stop) {
    auto answer = std::optional<bool>{};
    auto self = caf::scoped_actor{around_.system};
    while (!answer) {
      if (stop.stop_requested())
        throw std::runtime_error{"this node ends before it was decided"};
      self->request(scheduler, decision_patience, what)
          // Only a decision is one: whatever error comes, it may have been decided all the same.
          .receive([&](const wire::Migration& decided) { answer = (decided.phase() == "moved") == what.moved(); },
                   [&](const caf::error&) { std::this_thread::sleep_for(decision_pause); });
    }
    return *answer;
  };
  return mover_ = make_guest_mover(std::move(settings));
}

room node_rooms::agent() {
  return {"agent", [this] {
            auto settings = workload::agent_settings{};
            settings.node = around_.self.name;
            settings.incarnation = around_.facts.incarnation();
            settings.data = around_.self.data_dir;
            settings.capacity = around_.facts.capacity();
            settings.numbers = around_.numbers;
            settings.list = [this](const std::string& instance, const caf::actor& itself) {
              const auto address = around_.names.open("agent/" + instance);
              address->aim(caf::actor_cast<caf::strong_actor_ptr>(itself));
              address->describe({"running", 0, ""});
              return handle_of(*address);
            };
            settings.unlist = [this](const std::string& instance) { around_.names.close("agent/" + instance); };
            settings.mover = guest_mover();
            settings.images = [store = store_] {
              auto names = std::vector<std::string>{};
              for (const auto& image : store->list())
                names.push_back(image.name);
              return names;
            };
            // Those of an agent that failed.
            for (const auto& post : around_.names.posts())
              if (post->title.starts_with("agent/"))
                around_.names.close(post->title);
            auto started = caf::actor_cast<caf::actor>(workload::spawn_agent(around_.system, settings, driver_, image_access(),
                                                                            around_.names.leading("scheduler")));
            introduce(started);
            return started;
          }};
}

} // namespace novacron::node
