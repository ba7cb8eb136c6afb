#include "actors/scheduler/reconciler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

constexpr auto dawn = instant{} + std::chrono::hours{1};

void write(wire::LedgerEntries& all, const std::string& key, const google::protobuf::Message& what) {
  auto& entry = *all.add_entries();
  entry.set_key(key);
  entry.set_value(what.SerializeAsString());
  entry.set_revision(all.index());
}

wire::NodeFacts edge() {
  auto x = wire::NodeFacts{};
  x.set_name("edge-1");
  x.set_role("edge");
  x.set_incarnation(1);
  x.set_hosts_workloads(true);
  x.mutable_capacity()->set_cpu_milli(4000);
  x.mutable_capacity()->set_memory_bytes(4ull << 30);
  return x;
}

/// One instance of one workload, placed on one node.
wire::LedgerEntries truth() {
  auto all = wire::LedgerEntries{};
  all.set_index(9);
  auto node = wire::NodeRecord{};
  *node.mutable_facts() = edge();
  write(all, "node/edge-1", node);
  auto workload = wire::WorkloadRecord{};
  workload.mutable_spec()->set_name("web");
  workload.mutable_spec()->set_kind(wire::WORKLOAD_KIND_CONTAINER);
  workload.mutable_spec()->set_replicas(1);
  workload.set_generation(1);
  write(all, "workload/web", workload);
  auto instance = wire::Instance{};
  instance.set_name("web.0");
  instance.set_workload("web");
  instance.set_node("edge-1");
  instance.set_epoch(1);
  instance.set_generation(1);
  write(all, "instance/web.0", instance);
  return all;
}

wire::NodeReport report(std::uint64_t number, std::uint64_t revision) {
  auto x = wire::NodeReport{};
  x.set_node("edge-1");
  x.set_incarnation(1);
  x.set_number(number);
  x.set_revision(revision);
  x.set_takes_changes(true);
  return x;
}

void place(scheduler::reconciler& book, std::uint64_t index, const std::string& name) {
  auto news = wire::LedgerChanged{};
  news.set_index(index);
  auto instance = wire::Instance{};
  instance.set_name(name);
  instance.set_workload("web");
  instance.set_ordinal(1);
  instance.set_node("edge-1");
  instance.set_epoch(1);
  instance.set_generation(1);
  auto& entry = *news.add_written();
  entry.set_key("instance/" + name);
  entry.set_value(instance.SerializeAsString());
  entry.set_revision(index);
  book.apply(news);
}

} // namespace

SCENARIO("an assignment that was given up on the way is made again, although nothing has changed since") {
  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(truth());
  book.lead(dawn);
  book.arrive(edge(), dawn);
  const auto first = book.assign();
  REQUIRE(first.size() == 1);
  CHECK(std::get<wire::Assign>(first.front()).revision() == 9);
  CHECK(book.assign().empty());
  book.depart("edge-1", "the connection broke", dawn + 1s);
  book.undelivered("edge-1");
  CHECK(book.assign().empty());
  // Its reports get through again before its link is up: it is here, with what it was told long ago.
  book.report(report(1, 4), dawn + 2s, 0);
  const auto second = book.assign();
  REQUIRE(second.size() == 1);
  CHECK(std::get<wire::Assign>(second.front()).SerializeAsString() ==
        std::get<wire::Assign>(first.front()).SerializeAsString());
}

SCENARIO("a node that has its assignment is told what changed, and the whole again when it has lost it") {
  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(truth());
  book.lead(dawn);
  book.arrive(edge(), dawn);
  REQUIRE(book.assign().size() == 1);
  book.report(report(1, 4), dawn, 0);
  place(book, 10, "web.1");
  // One is on its way: what changes meanwhile waits until it is known what the node has.
  CHECK(book.assign().empty());
  book.delivered("edge-1", 8);
  CHECK(book.assign().empty());
  book.delivered("edge-1", 9);
  const auto second = book.assign();
  REQUIRE(second.size() == 1);
  const auto change = std::get<wire::AssignChange>(second.front());
  CHECK(change.base() == 9);
  CHECK(change.revision() == 10);
  REQUIRE(change.instances_size() == 1);
  CHECK(change.instances(0).name() == "web.1");
  CHECK(change.instances(0).spec().name() == "web");
  CHECK(change.gone().empty());
  book.delivered("edge-1", 10);
  CHECK(book.assign().empty());
  auto news = wire::LedgerChanged{};
  news.set_index(11);
  news.add_removed("instance/web.1");
  book.apply(news);
  const auto third = book.assign();
  REQUIRE(third.size() == 1);
  CHECK(std::get<wire::AssignChange>(third.front()).instances().empty());
  REQUIRE(std::get<wire::AssignChange>(third.front()).gone_size() == 1);
  CHECK(std::get<wire::AssignChange>(third.front()).gone(0) == "web.1");
  const auto is_whole = [&](const std::vector<scheduler::assignment>& what) {
    return what.size() == 1 && std::holds_alternative<wire::Assign>(what.front());
  };
  WHEN("it reports from before it had it") {
    book.report(report(2, 10), dawn + 1s, 0);
    CHECK(book.assign().empty());
  }
  WHEN("it does not know any more that it holds, while one is on its way") {
    book.report(report(2, 0), dawn + 1s, 0);
    CHECK(is_whole(book.assign()));
  }
  WHEN("it has been away and only its reports get through, while one is on its way") {
    book.depart("edge-1", "the connection broke", dawn + 1s);
    book.report(report(2, 10), dawn + 2s, 0);
    CHECK(is_whole(book.assign()));
  }
  WHEN("it has it, and reports that it follows an older one") {
    book.delivered("edge-1", 11);
    book.report(report(2, 10), dawn + 1s, 0);
    const auto again = book.assign();
    REQUIRE(is_whole(again));
    CHECK(std::get<wire::Assign>(again.front()).instances_size() == 1);
  }
  WHEN("it has it, and begins another life") {
    book.delivered("edge-1", 11);
    auto facts = edge();
    facts.set_incarnation(2);
    book.arrive(facts, dawn + 1s);
    CHECK(is_whole(book.assign()));
    // The new life has not said yet that it takes changes.
    book.delivered("edge-1", 11);
    place(book, 12, "web.1");
    CHECK(is_whole(book.assign()));
  }
  WHEN("the ledger is read anew") {
    book.delivered("edge-1", 11);
    book.reset(truth());
    CHECK(is_whole(book.assign()));
  }
  WHEN("another one leads for a while") {
    book.delivered("edge-1", 11);
    book.follow();
    place(book, 12, "web.1");
    CHECK(book.assign().empty());
    book.lead(dawn + 1s);
    CHECK(is_whole(book.assign()));
  }
}

SCENARIO("a whole that is on its way is not begun again for each report of a node that follows nothing yet") {
  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(truth());
  book.lead(dawn);
  book.arrive(edge(), dawn);
  REQUIRE(book.assign().size() == 1);
  for (auto number = 1u; number < 5; ++number) {
    book.report(report(number, 0), dawn, 0);
    CHECK(book.assign().empty());
  }
  book.delivered("edge-1", 9);
  CHECK(book.assign().empty());
  // Now it has lost it.
  book.report(report(5, 0), dawn, 0);
  CHECK(book.assign().size() == 1);
  // One that was not answered is made anew.
  book.undelivered("edge-1");
  CHECK(book.assign().size() == 1);
}

SCENARIO("a node that does not say that it takes changes is always told the whole") {
  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(truth());
  book.lead(dawn);
  book.arrive(edge(), dawn);
  REQUIRE(book.assign().size() == 1);
  auto old = report(1, 9);
  old.clear_takes_changes();
  book.report(old, dawn, 0);
  book.delivered("edge-1", 9);
  place(book, 10, "web.1");
  const auto second = book.assign();
  REQUIRE(second.size() == 1);
  CHECK(std::get<wire::Assign>(second.front()).instances_size() == 2);
  CHECK(std::get<wire::Assign>(second.front()).takes_changes());
}

SCENARIO("a report says what changed since the last one, and no other") {
  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(truth());
  book.lead(dawn);
  book.arrive(edge(), dawn);
  const auto phase = [&] {
    const auto found = book.list_workloads("web");
    return found.workloads(0).instances(0).phase();
  };
  auto all = report(1, 9);
  auto& web = *all.add_instances();
  web.set_name("web.0");
  web.set_epoch(1);
  web.set_generation(1);
  web.set_phase(wire::PHASE_STARTING);
  book.report(all, dawn, 0);
  CHECK(phase() == wire::PHASE_STARTING);
  auto change = wire::ReportChange{};
  change.set_node("edge-1");
  change.set_incarnation(1);
  change.set_revision(9);
  change.set_number(2);
  *change.add_instances() = web;
  change.mutable_instances(0)->set_phase(wire::PHASE_RUNNING);
  for (const auto base : {0u, 2u}) {
    change.set_base(base);
    CHECK_FALSE(book.report(change, dawn, 0));
  }
  change.set_base(1);
  auto other = change;
  other.set_incarnation(2);
  CHECK_FALSE(book.report(other, dawn, 0));
  other = change;
  other.set_node("edge-2");
  CHECK_FALSE(book.report(other, dawn, 0));
  CHECK(phase() == wire::PHASE_STARTING);
  CHECK(book.report(change, dawn, 0));
  CHECK(phase() == wire::PHASE_RUNNING);
  // The same once more changes a report that is not the last one any more.
  CHECK_FALSE(book.report(change, dawn, 0));
  // More than any host runs.
  other = change;
  other.set_base(2);
  other.set_number(3);
  for (auto i = 0; i < 1 << 16; ++i)
    other.add_instances()->set_name("x." + std::to_string(i));
  CHECK_FALSE(book.report(other, dawn, 0));
  // What it does not speak of stays as it was; what is gone is not there.
  change.set_base(2);
  CHECK_FALSE(book.report(change, dawn, 0));
  change.set_number(3);
  change.clear_instances();
  CHECK(book.report(change, dawn, 0));
  CHECK(phase() == wire::PHASE_RUNNING);
  change.set_base(3);
  change.set_number(4);
  change.add_gone("web.0");
  CHECK(book.report(change, dawn, 0));
  CHECK(phase() != wire::PHASE_RUNNING);
}

SCENARIO("nothing new goes to a node that was away before it said what it still runs, and that has ended") {
  auto known = truth();
  // While the node was away web.0 went elsewhere, and somebody came who needs nearly all of it.
  auto moved = wire::Instance{};
  REQUIRE(moved.ParseFromString(known.entries(2).value()));
  moved.set_node("edge-2");
  moved.set_epoch(7);
  known.mutable_entries(2)->set_value(moved.SerializeAsString());
  auto web = wire::WorkloadRecord{};
  REQUIRE(web.ParseFromString(known.entries(1).value()));
  web.mutable_spec()->mutable_resources()->set_cpu_milli(2000);
  known.mutable_entries(1)->set_value(web.SerializeAsString());
  auto db = web;
  db.mutable_spec()->set_name("db");
  db.mutable_spec()->mutable_resources()->set_cpu_milli(3000);
  (*db.mutable_spec()->mutable_placement()->mutable_require())["node"] = "edge-1";
  write(known, "workload/db", db);

  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(known);
  book.lead(dawn);
  const auto goes = [&](duration after) {
    const auto ops = book.propose(dawn + after, 0);
    const auto placed = std::ranges::any_of(ops, [](const auto& op) { return op.key() == "instance/db.0"; });
    book.refused();
    return placed;
  };
  const auto report = [&](std::uint64_t number, bool runs, duration after) {
    auto x = wire::NodeReport{};
    x.set_node("edge-1");
    x.set_incarnation(1);
    x.set_number(number);
    if (runs) {
      auto& one = *x.add_instances();
      one.set_name("web.0");
      one.set_epoch(1);
      one.set_generation(1);
      one.set_phase(wire::PHASE_STARTING);
    }
    book.report(x, dawn + after, 0);
  };
  CHECK_FALSE(goes(0s));
  book.arrive(edge(), dawn + 1s);
  CHECK_FALSE(goes(1s));
  SUBCASE("it runs something that went elsewhere") {
    report(1, true, 2s);
    CHECK_FALSE(goes(2s));
    CHECK(book.explain("db")->instances(0).summary().find("1 lack cpu") != std::string::npos);
    SUBCASE("and says when that ended") {
      report(2, false, 3s);
      CHECK(goes(3s));
    }
    SUBCASE("and goes away again") {
      book.depart("edge-1", "it fell silent", dawn + 3s);
      book.arrive(edge(), dawn + 4s);
      CHECK_FALSE(goes(4s));
      report(2, false, 5s);
      CHECK(goes(5s));
    }
  }
  SUBCASE("it runs nothing") {
    report(1, false, 2s);
    CHECK(goes(2s));
  }
}

namespace {

/// A leading reconciler of one node, with what it proposes written down at once.
struct small_fabric {
  small_fabric() {
    auto known = truth();
    auto web = wire::WorkloadRecord{};
    REQUIRE(web.ParseFromString(known.entries(1).value()));
    web.mutable_spec()->set_replicas(2);
    known.mutable_entries(1)->set_value(web.SerializeAsString());
    REQUIRE(wanted[0].ParseFromString(known.entries(2).value()));
    book.reset(known);
    book.lead(dawn);
    book.arrive(edge(), dawn);
    // Nothing is placed on a node before it has said what it runs.
    hear(0, wire::PHASE_STARTING);
    settle();
    REQUIRE(wanted.size() == 2);
  }

  /// Until nothing more is proposed; how many instances were written on the way.
  int settle() {
    auto instances = 0;
    for (auto ops = book.propose(now, 0); !ops.empty(); ops = book.propose(now, 0)) {
      auto news = wire::LedgerChanged{};
      news.set_index(++index);
      for (const auto& op : ops) {
        if (op.remove()) {
          news.add_removed(op.key());
          continue;
        }
        auto& entry = *news.add_written();
        entry.set_key(op.key());
        entry.set_value(op.value());
        entry.set_revision(index);
        if (!op.key().starts_with("instance/"))
          continue;
        auto one = wire::Instance{};
        REQUIRE(one.ParseFromString(op.value()));
        wanted[one.ordinal()] = one;
        ++instances;
      }
      book.apply(news);
    }
    return instances;
  }

  /// Another spec is wanted.
  void order_another() {
    auto web = wire::WorkloadRecord{};
    web.mutable_spec()->set_name("web");
    web.mutable_spec()->set_kind(wire::WORKLOAD_KIND_CONTAINER);
    web.mutable_spec()->set_replicas(2);
    web.mutable_spec()->mutable_program()->set_image("web:2");
    web.set_generation(2);
    auto news = wire::LedgerChanged{};
    news.set_index(++index);
    auto& entry = *news.add_written();
    entry.set_key("workload/web");
    entry.set_value(web.SerializeAsString());
    entry.set_revision(index);
    book.apply(news);
  }

  /// The node says of an instance what it is now; of the others what it said before, or that they start.
  void hear(std::uint32_t ordinal, wire::Phase phase) {
    for (const auto& [each, is] : wanted) {
      if (each != ordinal && reported.contains(is.name()))
        continue;
      auto& said = reported[is.name()];
      said.set_name(is.name());
      said.set_epoch(is.epoch());
      said.set_generation(is.generation());
      said.set_phase(each == ordinal ? phase : wire::PHASE_STARTING);
    }
    auto x = report(++number, index);
    for (const auto& [name, status] : reported)
      *x.add_instances() = status;
    now += 1s;
    book.report(x, now, 0);
  }

  scheduler::reconciler book{{.node = "cloud-1"}};
  std::uint64_t index = 9;
  std::uint64_t number = 0;
  instant now = dawn;
  /// What is written down, by ordinal.
  std::map<std::uint32_t, wire::Instance> wanted;
  std::map<std::string, wire::InstanceStatus> reported;
};

} // namespace

SCENARIO("an update goes on as soon as what it waits for runs") {
  auto fabric = small_fabric{};
  for (const auto ordinal : {0u, 1u})
    fabric.hear(ordinal, wire::PHASE_RUNNING);
  CHECK(fabric.settle() == 0);
  fabric.order_another();
  CHECK(fabric.settle() == 1);
  const auto renewed = fabric.wanted[0].generation() == 2 ? 0u : 1u;
  CHECK(fabric.wanted[1 - renewed].generation() == 1);
  fabric.hear(renewed, wire::PHASE_STARTING);
  CHECK(fabric.settle() == 0);
  fabric.hear(renewed, wire::PHASE_RUNNING);
  CHECK(fabric.settle() == 1);
  CHECK(fabric.wanted[1 - renewed].generation() == 2);
}

SCENARIO("what ends in a service that was as it should be is seen to") {
  auto fabric = small_fabric{};
  for (const auto ordinal : {0u, 1u})
    fabric.hear(ordinal, wire::PHASE_RUNNING);
  CHECK(fabric.settle() == 0);
  fabric.hear(1, wire::PHASE_FAILED);
  CHECK(fabric.settle() > 0);
}

SCENARIO("of many nodes that come at once as many are written down at a time as one command may hold") {
  auto settings = scheduler::reconcile_config{};
  settings.node = "cloud-1";
  settings.ops_max = 40;
  auto book = scheduler::reconciler{settings};
  book.reset({});
  book.lead(dawn);
  for (auto i = 0; i < 100; ++i) {
    auto facts = edge();
    facts.set_name("edge-" + std::to_string(i));
    book.arrive(facts, dawn);
  }
  auto index = std::uint64_t{0};
  for (auto ops = book.propose(dawn, 1); !ops.empty(); ops = book.propose(dawn, 1)) {
    CHECK(ops.size() <= settings.ops_max);
    auto change = wire::LedgerChanged{};
    change.set_index(++index);
    for (const auto& op : ops) {
      auto& entry = *change.add_written();
      entry.set_key(op.key());
      entry.set_value(op.value());
      entry.set_revision(index);
    }
    book.apply(change);
  }
  CHECK(index == 3);
  CHECK(book.list_nodes("").nodes_size() == 100);
}
