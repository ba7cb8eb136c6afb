#include "actors/workload/assignment.hpp"

#include <doctest/doctest.h>

using namespace novacron::workload;

namespace {
using steps = std::vector<step>;
const auto first = edition{1, 1};
} // namespace

SCENARIO("a node runs what it was assigned and nothing else") {
  CHECK(reconcile({}, {}).empty());
  CHECK(reconcile({{"a", first}}, {}) == steps{{step::kind::start, "a"}});
  CHECK(reconcile({{"a", first}}, {{"a", {first}}}).empty());
  CHECK(reconcile({}, {{"a", {first}}}) == steps{{step::kind::remove, "a"}});
}

SCENARIO("another epoch or generation first ends the copy that is there") {
  for (const auto& other : {edition{2, 1}, edition{1, 2}, edition{0, 1}}) {
    CHECK(reconcile({{"a", other}}, {{"a", {first}}}) == steps{{step::kind::remove, "a"}});
    // While it leaves, nothing of that name is started.
    CHECK(reconcile({{"a", other}}, {{"a", {first, true}}}).empty());
  }
}

SCENARIO("what leaves is let go, also when it is wanted again") {
  CHECK(reconcile({}, {{"a", {first, true}}}).empty());
  CHECK(reconcile({{"a", first}}, {{"a", {first, true}}}).empty());
}

SCENARIO("what must go is named before what must come") {
  CHECK(reconcile({{"a", first}}, {{"b", {first}}}) == steps{{step::kind::remove, "b"}, {step::kind::start, "a"}});
}

SCENARIO("what does not run is started with the node only if it is assigned as it is") {
  auto assigned = wire::Assign{};
  auto& one = *assigned.add_instances();
  one.set_name("a");
  one.set_epoch(1);
  one.set_generation(1);
  one.mutable_spec()->set_name("a");
  auto found = leftover{.instance = one};
  found.status.set_phase(wire::PHASE_RUNNING);
  const auto phase = [&] { return under(assigned, found).status.phase(); };
  CHECK(phase() == wire::PHASE_RUNNING);
  SUBCASE("it came to its end") {
    one.set_outcome(wire::PHASE_COMPLETED);
    CHECK(phase() == wire::PHASE_COMPLETED);
  }
  SUBCASE("it is assigned in another edition") {
    one.set_generation(2);
    CHECK(phase() == wire::PHASE_STOPPED);
  }
  SUBCASE("it is not assigned") {
    assigned.clear_instances();
    CHECK(phase() == wire::PHASE_STOPPED);
  }
  // What runs is ended as everything is that runs.
  found.alive = true;
  CHECK(phase() == wire::PHASE_RUNNING);
}

SCENARIO("what an instance is cannot be read, and is what is assigned under its name") {
  auto assigned = wire::Assign{};
  auto& one = *assigned.add_instances();
  one.set_name("a");
  one.set_epoch(2);
  one.set_generation(1);
  one.mutable_spec()->set_name("a");
  auto found = leftover{.alive = true};
  found.instance.set_name("a");
  SUBCASE("its status cannot be read either") {
    CHECK(under(assigned, found).instance.has_spec());
  }
  SUBCASE("its status says the same") {
    found.instance.set_epoch(2);
    found.instance.set_generation(1);
    CHECK(under(assigned, found).instance.has_spec());
  }
  SUBCASE("its status says that it is another edition") {
    found.instance.set_epoch(1);
    found.instance.set_generation(1);
    CHECK_FALSE(under(assigned, found).instance.has_spec());
    CHECK(under(assigned, found).instance.epoch() == 1);
  }
}

SCENARIO("what has come to stay while nothing ran begins with what came") {
  auto assigned = wire::Assign{};
  auto& one = *assigned.add_instances();
  one.set_name("a");
  one.set_epoch(2);
  one.set_generation(1);
  auto found = leftover{};
  found.instance = one;
  found.instance.mutable_spec()->set_name("a");
  found.instance.mutable_move()->set_arrives(true);
  CHECK_FALSE(under(assigned, found).instance.has_move());
  // What waits still has to be told.
  found.alive = true;
  CHECK(under(assigned, found).instance.move().arrives());
  found.alive = false;
  one.set_epoch(3);
  CHECK(under(assigned, found).instance.has_move());
}

SCENARIO("an older assignment changes nothing") {
  CHECK(supersedes(5, 4));
  CHECK(supersedes(5, 5));
  CHECK_FALSE(supersedes(4, 5));
}

SCENARIO("a change leaves all others as they were") {
  auto former = wire::Assign{};
  former.set_node("edge-1");
  former.set_revision(4);
  for (const auto* name : {"a", "b", "c", "b"})
    former.add_instances()->set_name(name);
  auto change = wire::AssignChange{};
  change.set_node("edge-1");
  change.set_controller("cloud-1");
  change.set_base(4);
  change.set_revision(7);
  change.add_gone("a");
  change.add_gone("unknown");
  for (const auto epoch : {2u, 3u}) {
    auto& one = *change.add_instances();
    one.set_name("b");
    one.set_epoch(epoch);
  }
  const auto now = changed(former, change);
  CHECK(now.node() == "edge-1");
  CHECK(now.controller() == "cloud-1");
  CHECK(now.revision() == 7);
  CHECK(now.takes_changes());
  REQUIRE(now.instances_size() == 3);
  CHECK(now.instances(0).name() == "c");
  CHECK(now.instances(1).epoch() == 2);
  CHECK(now.instances(2).epoch() == 3);
}
