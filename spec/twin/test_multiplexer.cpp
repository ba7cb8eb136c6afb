#include "messages/language.hpp"
#include "spec/twin/two_hosts.hpp"

#include <caf/io/all.hpp>
#include <caf/io/network/test_multiplexer.hpp>
#include <caf/scheduler/test_coordinator.hpp>

namespace twin {
namespace {

/// One host: nothing happens but in step().
struct planet {
  struct settings : caf::actor_system_config {
    settings() {
      novacron::add_language(*this);
      load<caf::io::middleman>();
      set("scheduler.policy", caf::atom("testing"));
      set("logger.verbosity", caf::atom("quiet"));
      set("middleman.network-backend", caf::atom("testing"));
      set("middleman.manual-multiplexing", true);
      set("middleman.heartbeat-interval", caf::timespan{0});
      set("middleman.workers", std::size_t{0});
    }
  };
  settings config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& stage = dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  caf::io::network::test_multiplexer& wires =
      dynamic_cast<caf::io::network::test_multiplexer&>(system.middleman().backend());

  planet() { system.await_actors_before_shutdown(false); }
  bool step() {
    // Brokers first: read_data() lets them work too, and does not say so.
    return stage.try_run_once() || wires.try_exec_runnable() || wires.read_data() || wires.try_accept_connection();
  }
};

class multiplexed_hosts : public two_hosts {
public:
  multiplexed_hosts() { start_other(); }
  ~multiplexed_hosts() override {
    for (const auto& x : near_)
      caf::anon_send_exit(x, caf::exit_reason::kill);
    if (other_)
      kill_other();
    run();
  }
  caf::actor near_one() override {
    near_.push_back(spawn_near(here_.system, told));
    run();
    return near_.back();
  }
  std::optional<caf::actor> connect() override {
    const auto port = static_cast<std::uint16_t>(port_);
    if (other_) {
      const auto there = caf::io::connection_handle::from_int(++handles_);
      line_ = caf::io::connection_handle::from_int(++handles_);
      other_->wires.prepare_connection(door_, there, here_.wires, "other", port, line_);
    }
    // Asking blocks: the hosts go on while it waits for its answer.
    here_.stage.inline_next_enqueue();
    here_.stage.after_next_enqueue([this] { run(); });
    auto found = here_.system.middleman().remote_actor("other", port);
    return found ? std::optional{*found} : std::nullopt;
  }
  void kill_other() override {
    if (line_ != caf::io::invalid_connection_handle) {
      // What a kernel reports of a connection whose other end is gone.
      auto line = here_.wires.impl_ptr(line_);
      line->io_failure(&here_.wires, caf::io::network::operation::read);
      line_ = caf::io::invalid_connection_handle;
    }
    // Nobody hears what the other one still says.
    caf::anon_send_exit(std::exchange(far_, nullptr), caf::exit_reason::kill);
    while (other_->step())
      ;
    other_.reset();
    run();
  }
  void start_other() override {
    other_ = std::make_unique<planet>();
    // What is asked next must find idle actors, to be done inline.
    run();
    door_ = caf::io::accept_handle::from_int(++handles_);
    other_->wires.provide_acceptor(static_cast<std::uint16_t>(port_), door_);
    far_ = other_->system.spawn(far_actor);
    other_->stage.inline_next_enqueue();
    const auto done = other_->system.middleman().publish(far_, static_cast<std::uint16_t>(port_));
    if (!done)
      throw std::runtime_error{"cannot publish"};
    run();
  }
  bool has_time() const override { return false; }
  void cut() override {}
  void heal() override {}
  void wait(const std::function<bool()>& until) override {
    run();
    // Whoever still waits waits in vain.
    if (!until())
      here_.stage.trigger_timeouts();
    run();
  }
  void pass(std::chrono::milliseconds) override { run(); }

private:
  void run() {
    while (here_.step() || (other_ && other_->step()))
      ;
  }

  static constexpr auto port_ = 4711;
  planet here_;
  std::unique_ptr<planet> other_;
  caf::io::accept_handle door_;
  caf::io::connection_handle line_ = caf::io::invalid_connection_handle;
  std::int64_t handles_ = 0;
  caf::actor far_;
  std::vector<caf::actor> near_;
};

} // namespace

std::unique_ptr<two_hosts> on_the_test_multiplexer() {
  return std::make_unique<multiplexed_hosts>();
}

} // namespace twin
