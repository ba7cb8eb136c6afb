#include "actors/scheduler/demand.hpp"
#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace novacron::spec;

namespace {

/// The node says that it has converted the instance.
void convert(play& on, const std::string& node, const std::string& instance, wire::WorkloadKind to) {
  auto& x = on.nodes.at(node);
  x.has.at(instance).set_kind(to);
  x.news = true;
}

} // namespace

SCENARIO("a workload is what its node has converted it to, and nothing is started again for that") {
  auto on = play{};
  on.add_node("edge-1");
  on.submit(play::service("web"));
  on.pass(4);
  REQUIRE(on.running("web") == 1);
  const auto before = *on.record("web.0");
  convert(on, "edge-1", "web.0", wire::WORKLOAD_KIND_SANDBOX);
  on.pass(6);
  const auto after = *on.record("web.0");
  CHECK(on.look("web").record().spec().kind() == wire::WORKLOAD_KIND_SANDBOX);
  CHECK(after.epoch() == before.epoch());
  CHECK(after.generation() == before.generation() + 1);
  CHECK(on.nodes.at("edge-1").starts == 1);
  CHECK(on.nodes.at("edge-1").has.at("web.0").generation() == after.generation());
  // Its former format is not kept for ever.
  CHECK_FALSE(on.book.records.contains("generation/web.1"));
  SUBCASE("and back") {
    convert(on, "edge-1", "web.0", wire::WORKLOAD_KIND_CONTAINER);
    on.pass(6);
    CHECK(on.look("web").record().spec().kind() == wire::WORKLOAD_KIND_CONTAINER);
    CHECK(on.nodes.at("edge-1").starts == 1);
  }
  SUBCASE("it goes elsewhere as what it is now") {
    on.add_node("edge-2");
    on.drain("edge-1");
    on.pass(8);
    CHECK(on.where("web.0") == std::vector<std::string>{"edge-2"});
    CHECK(on.nodes.at("edge-2").specs.at("web.0").kind() == wire::WORKLOAD_KIND_SANDBOX);
  }
}

SCENARIO("a format that makes no sense is not followed") {
  auto on = play{};
  on.add_node("edge-1");
  SUBCASE("of one among several instances") {
    on.submit(play::service("web", 2));
    on.pass(4);
    convert(on, "edge-1", "web.0", wire::WORKLOAD_KIND_SANDBOX);
  }
  SUBCASE("of no running format") {
    on.submit(play::service("web"));
    on.pass(4);
    convert(on, "edge-1", "web.0", wire::WORKLOAD_KIND_BATCH);
  }
  on.pass(6);
  CHECK(on.look("web").record().spec().kind() == wire::WORKLOAD_KIND_CONTAINER);
  CHECK(on.look("web").record().generation() == 1);
}

SCENARIO("only what is a machine can begin from a checkpoint") {
  auto spec = play::service("web");
  CHECK(scheduler::what_is_wrong(spec).empty());
  spec.set_checkpoint("web-1");
  CHECK(scheduler::what_is_wrong(spec) == "only sandboxes and virtual machines can begin from a checkpoint");
  for (const auto kind : {wire::WORKLOAD_KIND_SANDBOX, wire::WORKLOAD_KIND_VM}) {
    spec.set_kind(kind);
    CHECK(scheduler::what_is_wrong(spec).empty());
  }
}
