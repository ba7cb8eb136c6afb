#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <random>

using namespace novacron;
using spec::play;

namespace {

/// A play whose reports come late, twice and out of order.
class bad_weather : public play {
public:
  explicit bad_weather(std::uint64_t seed) : play{{"cloud-1", "cloud-2"}}, chance_{seed} {}

  bool fair = false;
  std::uint64_t roll(std::uint64_t n) { return chance_() % n; }

  void send_report(const std::string& name) override {
    auto report = report_of(name);
    if (fair) {
      caf::anon_send(boss(), report);
      return;
    }
    late_.push_back(report);
    if (roll(5) == 0)
      late_.push_back(report);
    for (auto i = roll(3); i > 0 && !late_.empty(); --i) {
      const auto at = late_.begin() + static_cast<long>(roll(late_.size()));
      caf::anon_send(boss(), *at);
      late_.erase(at);
    }
    if (late_.size() > 400)
      late_.erase(late_.begin(), late_.begin() + 200);
  }

private:
  std::mt19937_64 chance_;
  std::vector<wire::NodeReport> late_;
};

wire::OnDisconnect action_of(const std::string& workload) {
  const auto number = workload.back() - '0';
  return number % 3 == 0   ? wire::ON_DISCONNECT_KEEP
         : number % 3 == 1 ? wire::ON_DISCONNECT_STOP_AFTER
                           : wire::ON_DISCONNECT_REPLACE;
}

void submit_any(bad_weather& here) {
  const auto name = "w" + std::to_string(here.roll(30));
  auto order = wire::Submit{};
  auto& spec = *order.mutable_spec();
  spec = play::service(name, here.roll(2) ? 1 : 1 + static_cast<std::uint32_t>(here.roll(12)));
  spec.mutable_program()->set_image(here.roll(4) ? "web:1" : "web:2");
  spec.mutable_resources()->set_cpu_milli(200 + 100 * here.roll(10));
  spec.mutable_on_disconnect()->set_action(action_of(name));
  if (action_of(name) == wire::ON_DISCONNECT_STOP_AFTER)
    spec.mutable_on_disconnect()->set_after_ms(10'000);
  caf::anon_send(here.boss(), order);
}

void stir(bad_weather& here) {
  const auto node = "n" + std::to_string(here.roll(200));
  auto& x = here.nodes.at(node);
  switch (here.roll(12)) {
    case 0:
    case 1:
    case 2: submit_any(here); break;
    case 3: {
      auto order = wire::StopWorkload{};
      order.set_name("w" + std::to_string(here.roll(30)));
      order.set_forget(here.roll(2));
      caf::anon_send(here.boss(), order);
      break;
    }
    case 4: {
      auto order = wire::DrainNode{};
      order.set_node(node);
      order.set_drained(here.roll(2));
      caf::anon_send(here.boss(), order);
      break;
    }
    case 5:
      if (here.roll(6) == 0)
        here.book.lead(here.book.leader == "cloud-1" ? "cloud-2" : "cloud-1");
      break;
    case 6:
    case 7:
      if (x.connected)
        here.cut(node);
      break;
    case 8:
      if (x.connected)
        here.crash(node);
      break;
    default:
      for (auto i = 0; i < 3; ++i)
        if (auto& any = here.nodes.at("n" + std::to_string(here.roll(200))); !any.connected)
          here.connect(any.facts.name());
  }
  here.stage.settle();
}

/// What must hold whatever the weather.
void check_promises(bad_weather& here) {
  auto copies = std::map<std::string, int>{};
  auto connected_copies = std::map<std::string, int>{};
  for (const auto& [name, node] : here.nodes) {
    auto cpu = std::uint64_t{0};
    for (const auto& [instance, status] : node.has) {
      if (!scheduler::is_live(status.phase()))
        continue;
      cpu += node.specs.at(instance).resources().cpu_milli();
      if (node.specs.at(instance).replicas() != 1)
        continue;
      ++copies[instance];
      connected_copies[instance] += node.connected;
    }
    REQUIRE(cpu <= node.facts.capacity().cpu_milli());
  }
  for (const auto& [instance, count] : connected_copies)
    REQUIRE_MESSAGE(count <= 1, instance);
  for (const auto& [instance, count] : copies)
    if (action_of(instance.substr(0, instance.find('.'))) != wire::ON_DISCONNECT_REPLACE)
      REQUIRE_MESSAGE(count <= 1, instance);
}

void check_calm(bad_weather& here) {
  auto list = here.stage.ask<wire::WorkloadList>(here.boss(), wire::WorkloadListRequest{});
  REQUIRE(list);
  for (const auto& x : list->workloads()) {
    const auto& name = x.record().spec().name();
    CAPTURE(name);
    CHECK_FALSE(x.record().forgotten());
    const auto desired = x.record().stopped() ? 0u : x.record().spec().replicas();
    CHECK(here.running(name) == desired);
    CHECK(x.running() == desired);
  }
}

} // namespace

SCENARIO("two hundred nodes in bad weather keep every promise and calm down after it") {
  for (auto seed = std::uint64_t{1}; seed <= 3; ++seed) {
    CAPTURE(seed);
    std::printf("churn seed %llu\n", static_cast<unsigned long long>(seed));
    auto here = bad_weather{seed};
    for (auto i = 0; i < 200; ++i)
      here.add_node("n" + std::to_string(i), "z" + std::to_string(i % 5), 2000);
    for (auto second = 0; second < 120; ++second) {
      for (auto i = here.roll(6); i > 0; --i)
        stir(here);
      here.pass(1);
      check_promises(here);
    }
    here.fair = true;
    for (auto& [name, node] : here.nodes) {
      if (!node.connected)
        here.connect(name);
      auto order = wire::DrainNode{};
      order.set_node(name);
      caf::anon_send(here.boss(), order);
    }
    for (auto second = 0; second < 150; ++second) {
      here.pass(1);
      check_promises(here);
    }
    check_calm(here);
  }
}
