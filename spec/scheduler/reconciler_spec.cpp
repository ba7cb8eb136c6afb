#include "actors/scheduler/reconciler.hpp"

#include <doctest/doctest.h>

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
