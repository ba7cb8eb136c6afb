#include "actors/node/node_process.hpp"

#include "actors/api/service_actor.hpp"
#include "actors/host/metrics.hpp"
#include "actors/host/resident.hpp"
#include "actors/host/secure_file.hpp"
#include "actors/host/systemd.hpp"
#include "actors/host/version.hpp"
#include "actors/node/audit.hpp"
#include "actors/node/capacity.hpp"
#include "actors/node/credentials.hpp"
#include "actors/node/door_actor.hpp"
#include "actors/node/node_lock.hpp"
#include "actors/node/node_rooms.hpp"
#include "actors/node/node_system.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

constexpr auto shutdown_patience = std::chrono::seconds{10};

/// Signals are taken by the main thread alone; everybody else has them blocked from the start.
sigset_t signals_of_life() {
  auto all = sigset_t{};
  sigemptyset(&all);
  for (auto x : {SIGTERM, SIGINT, SIGHUP})
    sigaddset(&all, x);
  return all;
}

wire::NodeFacts facts_of(const node_settings& self) {
  auto facts = wire::NodeFacts{};
  facts.set_name(self.name);
  facts.set_role(self.role);
  facts.set_zone(self.zone);
  facts.set_region(self.region);
  for (const auto& [key, value] : self.labels)
    (*facts.mutable_labels())[key] = value;
  *facts.mutable_capacity() = capacity(self.resources, find_capacity(self.data_dir));
  facts.set_version(std::string{host::version()});
  facts.set_incarnation(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
  facts.set_hosts_workloads(self.workloads);
  return facts;
}

std::map<std::string, address> dials_of(const node_settings& self) {
  auto found = std::map<std::string, address>{};
  for (const auto& target : self.join)
    found.emplace(target.name.empty() ? to_string(target.address) : target.name,
                  address{target.address.host, target.address.port});
  return found;
}

/// Certificates must be there before anything listens. A controller that joins nobody begins the fabric.
void provide_credentials(const process_options& options, const node_settings& self) {
  const auto trust = self.data_dir / "trust";
  fs::create_directories(trust);
  const auto now = std::chrono::system_clock::now();
  if (self.is_controller() && self.join.empty()) {
    lay_authority(trust, options.settings.fabric.name, now);
    lay_certificate(trust, trust, self.name, self.role, now,
                    std::chrono::duration_cast<std::chrono::seconds>(options.settings.trust.life));
  }
  const auto found = look_at_credentials(trust, self.name, self.role, now);
  if (!found.ready)
    throw std::runtime_error{fmt::format(
      "{} has no credentials: {}\nOn a controller: novacron token create --name={} --role={}\nThen here: novacron join "
      "--connect=HOST:PORT --token=TOKEN --name={} --role={}",
      self.name, found.text, self.name, self.role, self.name, self.role)};
}

/// What the node knows of itself when somebody asks how it feels.
wire::Health feel(const directory& names, const node_settings& self) {
  auto health = wire::Health{};
  health.set_live(true);
  auto add = [&](const std::string& name, bool ok, const std::string& detail) {
    auto& check = *health.add_checks();
    check.set_name(name);
    check.set_ok(ok);
    check.set_detail(detail);
  };
  for (const auto& room : names.posts())
    if (room->title.find('/') == room->title.npos) {
      const auto how = room->described();
      if (how.state == "absent")
        continue;
      add(room->title, how.state == "running", how.state == "running" ? "" : how.state + ": " + how.last_failure);
    }
  if (self.is_controller())
    add("leader", !names.leader().empty(), names.leader().empty() ? "nobody leads the ledger" : names.leader());
  health.set_ready(std::ranges::all_of(health.checks(), [](const auto& x) { return x.ok(); }));
  return health;
}

/// The whole node while it runs.
class running_node {
public:
  explicit running_node(const process_options& options)
    : self_{options.settings.nodes.at(options.self)}, options_{options}, facts_{facts_of(self_)} {
    host::add_process_metrics(*numbers_);
    host::add_build_metrics(*numbers_, std::string{host::version()}, self_.role, self_.name);
    for (const auto why : host::all_refusals())
      refusals(std::string{host::to_string(why)});
    for (const auto* why : {"bad_token", "no_descriptors", "routed", "stray", "too_large", "too_many", "too_slow"})
      refusals(why);
    denied_->replace(read_deny_list(self_.data_dir / "trust"));
  }

  /// Starts its actors. Throws std::runtime_error; those that run by then are ended as at any other end.
  void begin() {
    transport_ = host::spawn_tls_middleman(system_, loop_, transport_hooks());
    rooms_ = std::make_unique<node_rooms>(room_surroundings{system_, loop_, names_, options_.settings, self_, options_.program,
                                                            facts_, denied_, numbers_,
                                                            [this](const std::string& why, const std::string& text) { refused(why, text); }});
    supervisor_ = spawn_supervisor(system_, names_, rooms_->all());
    threshold_ = spawn_door(system_, surroundings(), {.dials = dials_of(self_),
                                                      .health = [this] { return feel(names_, self_); },
                                                      .leave = [](const std::string&) { ::kill(::getpid(), SIGTERM); }});
    if (self_.listen) {
      const auto bound = publish(system_, transport_, threshold_, self_.listen->host, self_.listen->port);
      if (!bound)
        throw std::runtime_error{explain(bound.error()).text};
    }
    // As the scheduler's, the short name means the one of the node that leads.
    const auto find = [this](std::string_view path) -> caf::expected<caf::actor> {
      return path == "functions" ? names_.leading("functions") : names_.find(path);
    };
    api_ = api::start_service(system_, find, numbers_, api_settings());
  }

  ~running_node() { stop(); }

  void stop() {
    if (std::exchange(stopped_, true))
      return;
    if (api_) {
      api_->leave();
      api_->stop(std::chrono::seconds{3});
    }
    // The rooms first, then the links: what the rooms say last still gets out.
    if (supervisor_)
      caf::anon_send_exit(supervisor_, caf::exit_reason::user_shutdown);
    if (rooms_)
      rooms_->end();
    supervisor_ = nullptr;
    threshold_ = nullptr;
    end_actors(system_, names_, std::exchange(transport_, nullptr));
  }

  bool ready() const { return feel(names_, self_).ready(); }
  const node_settings& self() const { return self_; }

private:
  /// A flood of refusals must not wash away what people ordered: of one kind, one in ten seconds is kept.
  void note_refusal(const std::string& why, const std::string& text) {
    using monotonic = std::chrono::steady_clock;
    auto held = std::uint64_t{0};
    {
      const auto lock = std::lock_guard{noting_};
      auto& [until, more] = noted_[why];
      if (monotonic::now() < until)
        return void(++more);
      until = monotonic::now() + std::chrono::seconds{10};
      held = std::exchange(more, 0);
    }
    audit_.note("a peer", text.empty() ? why : why + ": " + text,
                held == 0 ? "refused" : fmt::format("refused, and {} more of this kind before", held));
  }

  host::counter& refusals(const std::string& why) {
    return numbers_->count("refused_peers_total", "Peers, or messages of peers, that were not let in.", {{"reason", why}});
  }

  void refused(const std::string& why, const std::string& text) {
    refusals(why).add();
    note_refusal(why, text);
    if (text.empty())
      host::log_rarely(host::level::warn, "transport", "refused a connection: {}", why);
  }

  host::tls_hooks transport_hooks() {
    auto hooks = links_over_tls((self_.data_dir / "trust").string(), denied_, [this](const std::string& why) { refused(why, ""); });
    hooks.reaches = [in = names_.ways_in()](const std::string& peer, const host::destination& where) { return in->permits(peer, where); };
    hooks.patience = options_.settings.trust.handshake;
    return hooks;
  }

  neighbourhood surroundings() {
    auto around = neighbourhood{};
    around.names = &names_;
    around.transport = transport_;
    around.own_papers = [trust = self_.data_dir / "trust"] {
      auto text = [&](const char* file) { return host::read_small_file(trust / file).value_or(""); };
      return papers{text("cert.pem"), text("key.pem"), text("ca.pem")};
    };
    around.wall_clock = std::chrono::system_clock::now;
    around.denied = denied_.get();
    around.facts = facts_;
    around.follows = !self_.is_controller();
    around.seed = facts_.incarnation();
    around.watchers = rooms_->link_watchers();
    around.numbers = numbers_;
    around.refused = [this](const std::string& why, const std::string& text) { refused(why, text); };
    return around;
  }

  api::service::config api_settings() {
    auto settings = api::service::config{};
    settings.node = self_.name;
    settings.fabric = options_.settings.fabric.name;
    settings.role = self_.role;
    settings.version = host::version();
    settings.refused = [this](const char* why) { refused(why, "a request"); };
    settings.audited = [this](const api::caller& who, const std::string& what, unsigned status) {
      constexpr auto denied_from = 400u;
      if (who.role.empty() && status >= denied_from)
        return; // noted as a refusal already
      audit_.note(who.role.empty() ? "a stranger" : who.role + "/" + who.name, what, std::to_string(status));
    };
    settings.audit_entries = [this](std::uint64_t after, std::size_t limit) { return show_audit(audit_.directory(), after, limit); };
    settings.audit_verdict = [this] { return show_verdict(audit_.directory()); };
    settings.socket = (self_.data_dir / "api.sock").string();
    if (self_.api) {
      settings.served.head_max = options_.settings.trust.handshake;
      settings.host = self_.api->host;
      settings.port = self_.api->port;
      auto tls = host::tls_settings{};
      tls.directory = self_.data_dir / "trust";
      tls.certificate_required = false;
      tls.sends_authority = true;
      tls.denied = denied_;
      tls.refused = [this](host::refusal why, std::string_view) { refused(std::string{host::to_string(why)}, ""); };
      settings.tls = host::make_tls_context(std::move(tls));
    }
    return settings;
  }

  node_settings self_;
  process_options options_;
  wire::NodeFacts facts_;
  std::shared_ptr<host::metrics> numbers_ = std::make_shared<host::metrics>();
  std::shared_ptr<host::deny_list> denied_ = std::make_shared<host::deny_list>();
  audit_log audit_{self_.data_dir / "audit"};
  std::mutex noting_;
  std::map<std::string, std::pair<std::chrono::steady_clock::time_point, std::uint64_t>> noted_;
  host::loop loop_;
  system_config config_{2};
  caf::actor_system system_{config_};
  directory names_{system_, self_.name};
  caf::io::middleman_actor transport_;
  std::unique_ptr<node_rooms> rooms_;
  caf::actor supervisor_;
  caf::actor threshold_;
  std::unique_ptr<api::service> api_;
  bool stopped_ = false;
};

/// Waits for the end, telling systemd how things are meanwhile.
int live(running_node& node, const host::service_notifier& systemd) {
  const auto signals = signals_of_life();
  auto told = false;
  auto calm = 0;
  for (;;) {
    const auto wait = timespec{.tv_sec = 0, .tv_nsec = told ? 500'000'000 : 20'000'000};
    const auto got = ::sigtimedwait(&signals, nullptr, &wait);
    if (got == SIGTERM || got == SIGINT)
      return got;
    systemd.beat();
    // By then the links are up and everything has run once.
    if (told && ++calm == 6)
      host::release_startup_code();
    if (!told && node.ready()) {
      told = true;
      systemd.ready(node.self().role + " " + node.self().name);
      host::log_info("node", "{} {} is ready", node.self().role, node.self().name);
    }
  }
}

} // namespace

int run_node(const process_options& options) {
  const auto& self = options.settings.nodes.at(options.self);
  const auto signals = signals_of_life();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const auto systemd = host::service_notifier::from_environment();
  host::set_log_node(self.name);
  try {
    fs::create_directories(self.data_dir);
    const auto lock = node_lock{self.data_dir};
    provide_credentials(options, self);
    auto node = std::make_unique<running_node>(options);
    node->begin();
    const auto why = live(*node, systemd);
    systemd.stopping("leaving");
    host::log_info("node", "{} leaves ({}); its workloads run on", self.name, why == SIGINT ? "interrupted" : "asked to end");
    // A room that does not end must not keep the node: whatever it was doing, the next start can pick it up.
    std::thread{[] {
      std::this_thread::sleep_for(shutdown_patience);
      host::log_error("node", "some actors did not end in time; leaving without them");
      ::_exit(0);
    }}.detach();
    node->stop();
    node.reset();
    return 0;
  } catch (const std::exception& problem) {
    std::cerr << "novacron: " << problem.what() << "\n";
    return 1;
  }
}

} // namespace novacron::node
