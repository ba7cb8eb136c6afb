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
