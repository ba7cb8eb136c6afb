#include "actors/workload/driver_by_kind.hpp"

#include "actors/host/crew.hpp"
#include "actors/workload/conversion.hpp"
#include "actors/workload/format_change.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace novacron::workload {
namespace {

/// Which driver has an instance.
struct ownership {
  std::mutex guard;
  std::map<std::string, driver*> of;
};

class driver_by_kind final : public driver {
public:
  driver_by_kind(std::shared_ptr<driver> containers, std::shared_ptr<driver> machines)
      : containers_{std::move(containers)}, machines_{std::move(machines)} {}

  ~driver_by_kind() override { changes_.end(); }

  std::vector<leftover> sweep() override {
    if (const auto one = containers_->place("x"), other = machines_->place("x"); !one.empty() && !other.empty())
      settle_conversions(one.parent_path(), other.parent_path());
    auto all = std::vector<leftover>{};
    for (const auto& each : {machines_, containers_})
      for (auto& found : each->sweep()) {
        remember_owner(found.instance.name(), *each);
        all.push_back(std::move(found));
      }
    return all;
  }

  void prepare(const wire::Instance& what, const image_root& image, then<> done) override {
    const auto& chosen = for_kind(what.spec().kind());
    remember_owner(what.name(), *chosen);
    chosen->prepare(what, image, std::move(done));
  }
  void start(const std::string& name, then<running> done, over end) override {
    owner(name).start(name, std::move(done), std::move(end));
  }
  void adopt(const std::string& name, then<running> done, over end) override {
    owner(name).adopt(name, std::move(done), std::move(end));
  }
  void signal(const std::string& name, int number, then<> done) override {
    owner(name).signal(name, number, std::move(done));
  }
  void pause(const std::string& name, bool paused, then<> done) override {
    owner(name).pause(name, paused, std::move(done));
  }
  void resize(const std::string& name, const wire::Resources& to, then<> done) override {
    owner(name).resize(name, to, std::move(done));
  }
  void stats(const std::string& name, then<usage> done) override { owner(name).stats(name, std::move(done)); }
  void exec(const std::string& name, const exec_order& what, then<std::shared_ptr<exec_process>> done) override {
    owner(name).exec(name, what, std::move(done));
  }
  void serve(const std::string& name, then<std::shared_ptr<exec_process>> done) override {
    owner(name).serve(name, std::move(done));
  }
  void probe(const std::string& name, const wire::HealthCheck& check, then<> done) override {
    owner(name).probe(name, check, std::move(done));
  }
  void remember(const std::string& name, const wire::InstanceStatus& status) override {
    owner(name).remember(name, status);
  }
  void receive(const std::string& name, then<running> done, over end) override {
    owner(name).receive(name, std::move(done), std::move(end));
  }
  void arrive(const wire::Instance& what, then<> done) override { owner(what.name()).arrive(what, std::move(done)); }
  bool departs(const std::string& name) const override { return owner(name).departs(name); }
  std::string why_immovable(const std::string& name) const override { return owner(name).why_immovable(name); }
  std::filesystem::path logs(const std::string& name) const override { return owner(name).logs(name); }
  std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what) override {
    return owner(name).when_output(name, std::move(what));
  }
  void destroy(const std::string& name, then<> done) override {
    // Not this driver itself: the answer comes on a thread of the one that it holds, which that thread must not end.
    owner(name).destroy(name, [owners = owners_, name, done = std::move(done)](outcome<> gone) {
      if (gone) {
        const auto lock = std::lock_guard{owners->guard};
        owners->of.erase(name);
      }
      done(std::move(gone));
    });
  }
  void convert(const conversion& what, then<converted> done, over end) override {
    auto* const source = &owner(what.to.name());
    auto* const target = for_kind(what.to.spec().kind()).get();
    if (source == target)
      return done(trouble{fault::unsupported, what.to.name() + " cannot become that in one step"});
    if (auto refusal = source->why_unconvertible(what.to.name()); !refusal.empty())
      return done(trouble{fault::bad_request, std::move(refusal)});
    changes_.give([=, this] {
      done(change_format(*source, *target, what, end, [&] { remember_owner(what.to.name(), *target); }));
    });
  }
  std::string why_unconvertible(const std::string& name) const override { return owner(name).why_unconvertible(name); }
  outcome<> examine(const wire::Instance& what, const image_root& image) override {
    return for_kind(what.spec().kind())->examine(what, image);
  }
  void checkpoint(const std::string& name, const checkpoint_order& what, then<wire::Checkpoint> done) override {
    owner(name).checkpoint(name, what, std::move(done));
  }
  void set_back(const std::string& name, const std::string& checkpoint, then<> done) override {
    owner(name).set_back(name, checkpoint, std::move(done));
  }

private:
  const std::shared_ptr<driver>& for_kind(wire::WorkloadKind kind) const {
    const auto machine = kind == wire::WORKLOAD_KIND_VM || kind == wire::WORKLOAD_KIND_SANDBOX;
    return machine ? machines_ : containers_;
  }
  void remember_owner(const std::string& name, driver& who) {
    const auto lock = std::lock_guard{owners_->guard};
    owners_->of[name] = &who;
  }
  /// Of what nobody has prepared there is nothing, and either driver says so.
  driver& owner(const std::string& name) const {
    const auto lock = std::lock_guard{owners_->guard};
    const auto found = owners_->of.find(name);
    return found == owners_->of.end() ? *containers_ : *found->second;
  }

  const std::shared_ptr<driver> containers_;
  const std::shared_ptr<driver> machines_;
  const std::shared_ptr<ownership> owners_ = std::make_shared<ownership>();
  /// Each change of format has a thread while it lasts. Chosen: more at a time would have each stand still for longer.
  host::crew changes_{2};
};

} // namespace

std::shared_ptr<driver> make_driver_by_kind(std::shared_ptr<driver> containers, std::shared_ptr<driver> machines) {
  return std::make_shared<driver_by_kind>(std::move(containers), std::move(machines));
}

} // namespace novacron::workload
