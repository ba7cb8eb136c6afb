#include "actors/scheduler/reconciler.hpp"
#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <string>

using namespace novacron;
using novacron::spec::play;

namespace {

constexpr auto dawn = instant{std::chrono::hours{1}};

template <class Record>
void put(wire::LedgerEntries& all, const std::string& key, const Record& value) {
  auto& entry = *all.add_entries();
  entry.set_key(key);
  entry.set_value(value.SerializeAsString());
  entry.set_revision(1);
}

wire::WorkloadRecord record(const std::string& name, std::int32_t priority, std::uint64_t cpu, std::int64_t created) {
  auto x = wire::WorkloadRecord{};
  *x.mutable_spec() = play::service(name);
  x.mutable_spec()->set_priority(priority);
  x.mutable_spec()->mutable_resources()->set_cpu_milli(cpu);
  x.set_generation(1);
  x.set_created_ms(created);
  return x;
}

std::string why(scheduler::reconciler& book, const std::string& name) {
  return book.list_workloads(name).workloads(0).reason();
}

/// The first that is nowhere though a node would take it.
std::string idle_in_vain(play& x, const std::string& workload) {
  const auto shown = x.look(workload);
  for (const auto& status : shown.instances()) {
    if (status.phase() != wire::PHASE_PENDING)
      continue;
    auto question = wire::Explain{};
    question.set_name(status.name());
    const auto told = x.stage.ask<wire::Explanation>(x.boss(), question);
    if (told && told->instances_size() == 1 && told->instances(0).scores_size() > 0)
      return status.name() + " " + status.reason() + ", but " + told->instances(0).scores(0).node() + " would take it";
  }
  return {};
}

} // namespace

SCENARIO("whose turn to have room made is still to come does not wait for something to happen") {
  auto settings = scheduler::reconcile_config{};
  settings.node = "cloud-1";
  settings.preemptions_max = 1;
  auto book = scheduler::reconciler{settings};
  auto all = wire::LedgerEntries{};
  all.set_index(1);
  auto node = wire::NodeRecord{};
  node.mutable_facts()->set_name("n1");
  node.mutable_facts()->set_incarnation(1);
  node.mutable_facts()->set_hosts_workloads(true);
  node.mutable_facts()->mutable_capacity()->set_cpu_milli(4000);
  node.mutable_facts()->mutable_capacity()->set_memory_bytes(1 << 30);
  put(all, "node/n1", node);
  put(all, "workload/low", record("low", 0, 2000, 1));
  auto low = wire::Instance{};
  low.set_name("low.0");
  low.set_workload("low");
  low.set_node("n1");
  low.set_epoch(1);
  low.set_generation(1);
  put(all, "instance/low.0", low);
  for (const auto* name : {"a", "b", "c"})
    put(all, std::string{"workload/"} + name, record(name, 10, 3000, name[0]));
  book.reset(all);
  book.lead(dawn);
  book.arrive(node.facts(), dawn);
  auto said = wire::NodeReport{};
  said.set_node("n1");
  said.set_incarnation(1);
  said.set_number(1);
  book.report(said, dawn, 0);
  auto rounds = 0;
  for (; book.propose(dawn, 0).empty() && book.wake() && *book.wake() <= dawn; ++rounds)
    CHECK(why(book, "c") == (rounds < 2 ? "waits for its turn to have room made" : "1 node: 1 lack cpu"));
  CHECK(rounds == 2);
  for (const auto* name : {"a", "b", "c"})
    CHECK(why(book, name) == "1 node: 1 lack cpu");
}

SCENARIO("who wants to be near somebody goes there as soon as it is there") {
  auto x = play{};
  x.add_node("n1");
  x.add_node("n2");
  auto spec = play::service("web");
  spec.mutable_placement()->add_near("db");
  REQUIRE(x.submit(spec));
  x.pass(3);
  CHECK(x.running("web") == 0);
  REQUIRE(x.submit(play::service("db")));
  x.pass(3);
  CHECK(x.running("web") == 1);
}

SCENARIO("who was refused goes there as soon as nobody refuses it any more") {
  auto x = play{};
  x.add_node("n1");
  auto spec = play::service("web");
  spec.mutable_placement()->add_apart("db");
  REQUIRE(x.submit(spec));
  x.pass(3);
  REQUIRE(x.submit(play::service("db")));
  x.pass(3);
  CHECK(x.running("db") == 0);
  REQUIRE(x.submit(play::service("web")));
  x.pass(3);
  CHECK(x.running("db") == 1);
}

SCENARIO("nobody waits for room that is there, whatever comes and goes") {
  for (auto seed = std::uint64_t{1}; seed <= 60; ++seed) {
    CAPTURE(seed);
    auto chance = std::mt19937_64{seed};
    const auto roll = [&](std::uint64_t n) { return chance() % n; };
    auto x = play{};
    for (auto i = 0; i < 4; ++i) {
      const auto node = "n" + std::to_string(i);
      (*x.nodes[node].facts.mutable_capacity()->mutable_extra())["camera"] = roll(3);
      x.add_node(node, i % 2 ? "b" : "a", 1000 + 1000 * roll(4));
    }
    for (auto step = 0; step < 14; ++step) {
      const auto who = "w" + std::to_string(roll(8));
      auto spec = play::service(who, 1 + static_cast<std::uint32_t>(roll(4)));
      spec.mutable_resources()->set_cpu_milli(500 * (1 + roll(5)));
      spec.set_priority(static_cast<std::int32_t>(roll(3)));
      if (roll(3) == 0)
        (*spec.mutable_resources()->mutable_extra())["camera"] = 1;
      if (seed % 3 == 1 && roll(4) == 0)
        spec.mutable_placement()->add_apart("w" + std::to_string(roll(8)));
      if (seed % 3 == 2 && roll(4) == 0)
        spec.mutable_placement()->add_near("w" + std::to_string(roll(8)));
      if (roll(4) == 0)
        (*spec.mutable_placement()->mutable_require())["zone"] = roll(2) ? "a" : "b";
      const auto what = roll(8);
      if (what < 2)
        x.stop(who, roll(2) == 0);
      else if (what == 2)
        x.drain("n" + std::to_string(roll(4)), roll(2) == 0);
      else
        x.submit(spec);
      x.pass(12);
      for (auto i = 0; i < 8; ++i)
        CHECK(idle_in_vain(x, "w" + std::to_string(i)) == "");
    }
  }
}
