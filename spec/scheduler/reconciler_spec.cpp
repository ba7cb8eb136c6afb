#include "actors/scheduler/reconciler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

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

} // namespace

SCENARIO("an assignment that was given up on the way is made again, although nothing has changed since") {
  auto book = scheduler::reconciler{{.node = "cloud-1"}};
  book.reset(truth());
  book.lead(dawn);
  book.arrive(edge(), dawn);
  const auto first = book.assign();
  REQUIRE(first.size() == 1);
  CHECK(first.front().revision() == 9);
  CHECK(book.assign().empty());
  book.depart("edge-1", "the connection broke", dawn + 1s);
  book.undelivered("edge-1");
  CHECK(book.assign().empty());
  // Its reports get through again before its link is up: it is here, with what it was told long ago.
  auto report = wire::NodeReport{};
  report.set_node("edge-1");
  report.set_incarnation(1);
  report.set_number(1);
  report.set_revision(4);
  book.report(report, dawn + 2s, 0);
  const auto second = book.assign();
  REQUIRE(second.size() == 1);
  CHECK(second.front().SerializeAsString() == first.front().SerializeAsString());
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
