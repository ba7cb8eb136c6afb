#include "actors/workload/agent_actor.hpp"
#include "messages/fault.hpp"
#include "spec/stage.hpp"
#include "spec/workload/idle_driver.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace novacron;
using namespace novacron::workload;
using namespace std::chrono_literals;

namespace {

struct forgetful_disk : host::disk {
  void make_directory(const std::filesystem::path&) override {}
  std::optional<std::string> read(const std::filesystem::path&) override { return {}; }
  void replace(const std::filesystem::path&, std::string_view) override {}
  void settle(const std::filesystem::path&) override {}
};

struct paper_lease : lease {
  duration last{};
  duration confirmed() const override { return last; }
  void confirm(duration sent) override { last = sent; }
};

agent_settings settings_of(std::string node) {
  auto x = agent_settings{};
  x.node = std::move(node);
  x.data = "/nowhere";
  x.disk = std::make_shared<forgetful_disk>();
  x.lease = std::make_shared<paper_lease>();
  return x;
}

void add(wire::Assign& to, const std::string& name, const std::string& image) {
  auto& one = *to.add_instances();
  one.set_name(name);
  one.set_epoch(1);
  one.set_generation(1);
  one.mutable_spec()->mutable_program()->set_image(image);
}

} // namespace

SCENARIO("an agent that is alone grows quiet, and is as quick as ever once somebody has answered") {
  auto heard = 0;
  auto answers = false;
  auto on = spec::stage{};
  const auto boss = on.system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const wire::NodeReport&) -> caf::result<wire::Done> {
      ++heard;
      if (answers)
        return wire::Done{};
      return caf::make_error(fault::unreachable, "nobody leads");
    }};
  });
  auto settings = settings_of("edge-1");
  settings.report_interval = 60s;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  const auto agent = spawn_agent(on.system, settings, std::make_shared<idle_driver>(),
                                 access_to(std::filesystem::path{"/nowhere"}), boss);
  const auto reports_in = [&](duration length) {
    heard = 0;
    on.pass(length, 250ms);
    return heard;
  };
  // A leader may be about to be found.
  CHECK(reports_in(2s) >= 8);
  reports_in(5min);
  CHECK(reports_in(30min) <= 60);
  answers = true;
  reports_in(1min);
  CHECK(reports_in(30min) == 30);
  answers = false;
  CHECK(reports_in(62s) >= 8);
  on.audience->send_exit(agent, caf::exit_reason::kill);
}

SCENARIO("images that do not come delay no start of what is here") {
  struct language : caf::actor_system_config {
    language() { add_language(*this); }
  };
  auto gate = std::promise<void>{};
  auto near = std::promise<void>{};
  auto far = std::promise<void>{};
  const auto driver = std::make_shared<idle_driver>();
  driver->started = [&](const std::string& name) {
    if (name == "near.0")
      near.set_value();
    if (name == "far.0")
      far.set_value();
  };
  auto images = access_to(std::filesystem::path{"/nowhere"});
  images.acquire = [here = images.acquire](const std::string& image, const std::string& holder) -> outcome<image_root> {
    if (image == "far")
      return trouble{fault::not_found, "it is not here"};
    return here(image, holder);
  };
  images.fetch = [opened = gate.get_future().share()](const std::string&, const std::string&) -> outcome<image_root> {
    opened.wait();
    return image_root{.root = "/nowhere"};
  };
  auto config = language{};
  auto system = caf::actor_system{config};
  auto self = caf::scoped_actor{system};
  const auto agent = spawn_agent(system, settings_of("edge-1"), driver, images, {});
  auto order = wire::Assign{};
  order.set_node("edge-1");
  // More of them than are fetched at a time.
  for (auto i = 0; i < 8; ++i)
    add(order, "far." + std::to_string(i), "far");
  for (auto revision = 1u; revision <= 2; ++revision) {
    order.set_revision(revision);
    self->request(agent, 5s, order).receive([](const wire::Done&) {}, [](caf::error&) { FAIL_CHECK("refused"); });
    if (revision == 1)
      add(order, "near.0", "near");
  }
  CHECK(near.get_future().wait_for(10s) == std::future_status::ready);
  auto fetched = far.get_future();
  CHECK(fetched.wait_for(0s) == std::future_status::timeout);
  gate.set_value();
  CHECK(fetched.wait_for(10s) == std::future_status::ready);
  self->send_exit(agent, caf::exit_reason::user_shutdown);
}

SCENARIO("the reports of an agent that follows another one in the same process come after those of the other") {
  auto numbers = std::vector<std::uint64_t>{};
  auto on = spec::stage{};
  const auto boss = on.system.spawn([&](caf::event_based_actor*) -> caf::behavior {
    return {[&](const wire::NodeReport& x) {
      numbers.push_back(x.number());
      return wire::Done{};
    }};
  });
  auto settings = settings_of("edge-1");
  settings.incarnation = 3;
  settings.report_interval = 1s;
  settings.workers = std::make_shared<host::crew>([](const std::function<void()>& work) { work(); });
  settings.since_boot = [&] { return on.elapsed(); };
  for (auto life = 0; life < 2; ++life) {
    const auto agent = spawn_agent(on.system, settings, std::make_shared<idle_driver>(),
                                   access_to(std::filesystem::path{"/nowhere"}), boss);
    on.pass(3s, 250ms);
    on.audience->send_exit(agent, caf::exit_reason::kill);
    on.settle();
  }
  CHECK(numbers.size() > 4);
  CHECK(std::ranges::adjacent_find(numbers, std::ranges::greater_equal{}) == numbers.end());
}
