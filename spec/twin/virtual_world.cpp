#include "actors/simulation/post_office.hpp"
#include "messages/language.hpp"
#include "spec/twin/two_hosts.hpp"

#include <set>

namespace twin {
namespace {

using namespace novacron;
using namespace std::chrono_literals;

class virtual_hosts : public two_hosts {
public:
  virtual_hosts() {
    system_.await_actors_before_shutdown(false);
    stage_ = dynamic_cast<simulation::director*>(&system_.scheduler());
    post_ = std::make_unique<simulation::post_office>(system_, *stage_, wires_, 1);
    here_ = stage_->begin(0);
    post_->open(here_);
    stage_->become(here_);
    transport_ = post_->make_transport(here_);
    stage_->become(0);
    start_other();
  }
  ~virtual_hosts() override {
    if (stage_->alive(other_))
      kill_other();
    stage_->end(here_);
    post_->close(here_, true);
    stage_->clock().cancel_all();
  }
  caf::actor near_one() override {
    stage_->become(here_);
    auto one = spawn_near(system_, told);
    stage_->become(0);
    return one;
  }
  std::optional<caf::actor> connect() override {
    auto found = std::make_shared<std::optional<caf::actor>>();
    auto done = std::make_shared<bool>(false);
    stage_->become(here_);
    system_.spawn([=, this](caf::event_based_actor* self) {
      self->request(transport_, 9s, caf::connect_atom_v, std::string{"other"}, std::uint16_t{1})
          .then(
              [=](const caf::node_id&, const caf::strong_actor_ptr& door, const std::set<std::string>&) {
                *found = caf::actor_cast<caf::actor>(door);
                *done = true;
              },
              [=](const caf::error&) { *done = true; });
    });
    stage_->become(0);
    wait([&] { return *done; });
    return *found;
  }
  void kill_other() override {
    post_->unpublish("other");
    stage_->end(other_);
    post_->close(other_, true);
  }
  void start_other() override {
    other_ = stage_->begin(1);
    post_->open(other_);
    stage_->become(other_);
    post_->publish("other", other_, caf::actor_cast<caf::strong_actor_ptr>(system_.spawn(far_actor)));
    stage_->become(0);
  }
  bool has_time() const override { return true; }
  void cut() override {
    auto a = simulation::host_set{};
    auto b = simulation::host_set{};
    a.add(0);
    b.add(1);
    wires_.cut("between", a, b, false);
    post_->recheck();
  }
  void heal() override {
    wires_.heal("between");
    post_->recheck();
  }
  void wait(const std::function<bool()>& until) override { stage_->run_until(stage_->now() + 10s, until); }
  void pass(std::chrono::milliseconds time) override { stage_->run_until(stage_->now() + time); }

private:
  struct settings : caf::actor_system_config {
    settings() {
      add_language(*this);
      load<simulation::director>();
      set("logger.verbosity", caf::atom("quiet"));
    }
  };
  settings config_;
  caf::actor_system system_{config_};
  simulation::director* stage_ = nullptr;
  simulation::network wires_{1};
  std::unique_ptr<simulation::post_office> post_;
  simulation::life_number here_ = 0;
  simulation::life_number other_ = 0;
  caf::io::middleman_actor transport_;
};

} // namespace

std::unique_ptr<two_hosts> in_the_virtual_world() {
  return std::make_unique<virtual_hosts>();
}

} // namespace twin
