#include "actors/workload/checkpoint.hpp"
#include "actors/workload/machine_plan.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace novacron;
using namespace novacron::workload;

namespace {

constexpr auto mebi = std::uint64_t{1} << 20;

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != text.npos;
}

wire::Instance sandbox(std::uint64_t memory_mebi = 64) {
  auto x = wire::Instance{};
  x.set_name("web.0");
  x.mutable_spec()->set_name("web");
  x.mutable_spec()->set_kind(wire::WORKLOAD_KIND_SANDBOX);
  x.mutable_spec()->mutable_resources()->set_memory_bytes(memory_mebi * mebi);
  return x;
}

std::string shape_of(const wire::Instance& x, const machine_link& link = {}) {
  return machine_shape(plan_machine(x, {.kernel = "/k", .small_files = "/s", .whole_files = "/w"}, {}, link));
}

checkpoint_host this_node() {
  return {{.monitor = "QEMU 7.2", .processor = "this one", .guest = "6.1"}, 2'000'000};
}

checkpoint_facts facts() {
  auto x = checkpoint_facts{.ground = this_node().ground, .shape = shape_of(sandbox()), .stamp_khz = 2'000'000};
  x.shown.set_name("web-1");
  x.shown.set_instance("web.0");
  *x.shown.mutable_spec() = sandbox().spec();
  return x;
}

} // namespace

SCENARIO("a checkpoint has a name that is one directory's") {
  for (const auto* good : {"a", "web-1", "before.update_2", "A"})
    CHECK(is_checkpoint_name(good));
  for (const auto* bad : {"", ".", "..", ".hidden", "a/b", "a b", "web.part", "ä", "a\n"})
    CHECK_FALSE(is_checkpoint_name(bad));
  CHECK(is_checkpoint_name(std::string(64, 'a')));
  CHECK_FALSE(is_checkpoint_name(std::string(65, 'a')));
  CHECK(next_checkpoint_name("web", {}) == "web-1");
  CHECK(next_checkpoint_name("web", {"web-1", "web-3"}) == "web-2");
  CHECK(is_checkpoint_name(next_checkpoint_name(std::string(63, 'w'), {})));
}

SCENARIO("only machines in which our agent is have checkpoints") {
  auto spec = sandbox().spec();
  CHECK(refuse_checkpoint(spec, false).empty());
  spec.set_kind(wire::WORKLOAD_KIND_VM);
  CHECK(refuse_checkpoint(spec, false).empty());
  CHECK(says(refuse_checkpoint(spec, true), "whole disk"));
  spec.set_kind(wire::WORKLOAD_KIND_CONTAINER);
  CHECK(says(refuse_checkpoint(spec, false), "a container has no checkpoints"));
  CHECK(says(refuse_checkpoint(spec, false), "CRIU"));
  CHECK(says(refuse_checkpoint(spec, false), "convert NAME --to=sandbox"));
  spec.set_kind(wire::WORKLOAD_KIND_BATCH);
  CHECK_FALSE(says(refuse_checkpoint(spec, false), "convert"));
}

SCENARIO("checkpoints take no more than they may, and leave some of the disk") {
  const auto room = checkpoint_room{.bytes_max = 1000 * mebi, .bytes = 600 * mebi, .free = 10'000 * mebi};
  CHECK(refuse_room(room, 400 * mebi).empty());
  CHECK(says(refuse_room(room, 400 * mebi + 1), "have 600 MiB of 1000 MiB already"));
  CHECK(says(refuse_room({}, 1), "keeps no checkpoints"));
  auto full = room;
  full.free = 164 * mebi;
  CHECK(refuse_room(full, 100 * mebi).empty());
  CHECK(says(refuse_room(full, 100 * mebi + 1), "the disk has 164 MiB left"));
  CHECK_FALSE(refuse_room(room, ~std::uint64_t{0} - 700 * mebi).empty());
}

SCENARIO("nothing is restored where it would not be the same machine") {
  CHECK(unusable(facts(), this_node()).empty());
  auto other = this_node();
  SUBCASE("another version of its monitor") {
    other.ground.monitor = "QEMU 9.0";
    CHECK(says(unusable(facts(), other), "made with QEMU 7.2, and this node has QEMU 9.0"));
    other.ground.monitor.clear();
    CHECK(says(unusable(facts(), other), "this node has none"));
  }
  SUBCASE("another processor") {
    other.ground.processor = "another";
    CHECK(says(unusable(facts(), other), "model of processor"));
  }
  SUBCASE("another kernel") {
    other.ground.guest = "6.6";
    CHECK(says(unusable(facts(), other), "another kernel"));
  }
  SUBCASE("another rate") {
    other.stamp_khz = 2'001'999;
    CHECK(unusable(facts(), other).empty());
    other.stamp_khz = 2'002'001;
    CHECK(says(unusable(facts(), other), "2000000 kHz"));
  }
}

SCENARIO("what begins from a checkpoint has the same parts and the same tenant") {
  CHECK(refuse_restore(facts(), sandbox(), shape_of(sandbox())).empty());
  auto what = sandbox();
  SUBCASE("also under another name") {
    what.set_name("copy.0");
    what.mutable_spec()->set_name("copy");
    CHECK(refuse_restore(facts(), what, shape_of(what)).empty());
  }
  SUBCASE("never another tenant") {
    what.mutable_spec()->set_tenant("acme");
    CHECK(says(refuse_restore(facts(), what, shape_of(what)), "belongs to no tenant, not to tenant acme"));
  }
  SUBCASE("not another kind") {
    what.mutable_spec()->set_kind(wire::WORKLOAD_KIND_VM);
    CHECK(says(refuse_restore(facts(), what, shape_of(what)), "is of a sandbox, and web.0 is a vm"));
  }
  SUBCASE("not with other memory") {
    what = sandbox(80);
    CHECK(says(refuse_restore(facts(), what, shape_of(what)), "other parts"));
  }
  SUBCASE("not with a network where there was none") {
    CHECK(says(refuse_restore(facts(), what, shape_of(what, relayed_link())), "other parts"));
  }
}
