#include "actors/host/crew.hpp"
#include "actors/workload/driver_by_kind.hpp"
#include "spec/workload/idle_driver.hpp"

#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <thread>
#include <utility>

using namespace novacron;
using namespace novacron::workload;

namespace {

/// Destroys on a thread of its own, once it may.
struct slow_driver : idle_driver {
  host::crew& workers;
  std::shared_future<void> may;
  std::thread::id& ended_on;

  slow_driver(host::crew& crew, std::shared_future<void> future, std::thread::id& id)
      : workers{crew}, may{std::move(future)}, ended_on{id} {}
  ~slow_driver() override { ended_on = std::this_thread::get_id(); }

  void destroy(const std::string&, then<> done) override {
    workers.give([may = may, done = std::move(done)] {
      may.wait();
      done(nothing{});
    });
  }
};

} // namespace

SCENARIO("a driver that is let go while it destroys does not end on its own thread") {
  auto gate = std::promise<void>{};
  auto ended_on = std::thread::id{};
  auto workers = host::crew{1};
  auto machines = std::make_shared<slow_driver>(workers, gate.get_future().share(), ended_on);
  auto both = make_driver_by_kind(std::make_shared<idle_driver>(), std::move(machines));
  auto what = wire::Instance{};
  what.set_name("box.0");
  what.mutable_spec()->set_kind(wire::WORKLOAD_KIND_SANDBOX);
  both->prepare(what, {}, [](outcome<>) {});
  auto gone = std::promise<void>{};
  both->destroy("box.0", [&](outcome<>) { gone.set_value(); });
  both.reset();
  gate.set_value();
  gone.get_future().wait();
  workers.end();
  CHECK(ended_on == std::this_thread::get_id());
}
