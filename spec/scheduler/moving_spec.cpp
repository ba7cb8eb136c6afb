#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace novacron;
using namespace novacron::spec;

namespace {

/// Two nodes and more, and a virtual machine on one of them.
struct ground : play {
  ground() : play{{"cloud-1", "cloud-2"}} {
    for (const auto* node : {"a", "b", "c"})
      add_node(node);
    REQUIRE(submit(play::machine("vm")));
    pass(4);
    REQUIRE(where("vm.0").size() == 1);
    home = where("vm.0").front();
    there = home == "a" ? "b" : "a";
  }
  caf::expected<wire::Migration> move(const std::string& name, const std::string& to) {
    auto x = wire::Migrate{};
    x.set_name(name);
    x.set_node(to);
    return stage.ask<wire::Migration>(boss(), x);
  }
  /// How it is decided: "moved" or "kept".
  std::string settle(const std::string& migration, bool moved) {
    auto x = wire::SettleMove{};
    x.set_node(home);
    x.set_instance("vm.0");
    x.set_epoch(epoch);
    x.set_migration(migration);
    x.set_moved(moved);
    x.set_reason("the link broke");
    x.set_bytes(1000);
    const auto how = stage.ask<wire::Migration>(boss(), x);
    REQUIRE(how);
    CHECK(how->name() == migration);
    return how->phase();
  }
  wire::Migration look_at(const std::string& migration) {
    auto x = wire::MigrationListRequest{};
    x.set_name(migration);
    auto list = stage.ask<wire::MigrationList>(boss(), x);
    return list ? list->migrations(0) : wire::Migration{};
  }

  std::string home;
  std::string there;
  std::uint64_t epoch = 0;
};

} // namespace

SCENARIO("a machine that moves runs at its source until it is decided, and then at its target") {
  auto x = ground{};
  x.epoch = x.record("vm.0")->epoch();
  const auto begun = x.move("vm", x.there);
  REQUIRE(begun);
  // The target waits, and says where; the source is told.
  x.pass(3);
  CHECK(x.nodes.at(x.home).runs("vm.0"));
  CHECK(x.nodes.at(x.there).has.at("vm.0").phase() == wire::PHASE_MIGRATING);
  REQUIRE(x.nodes.at(x.home).assigned.at("vm.0").move().inlets_size() == 1);
  CHECK(x.nodes.at(x.home).assigned.at("vm.0").epoch() == x.epoch);
  CHECK(x.nodes.at(x.home).assigned.at("vm.0").move().token() ==
        x.nodes.at(x.there).assigned.at("vm.0").move().token());
  CHECK(x.nodes.at(x.home).assigned.at("vm.0").move().token().size() == 16);
  // One on the move is not moved anywhere else; the same once more is the same.
  CHECK_FALSE(x.move("vm.0", x.home == "c" ? "b" : x.there == "c" ? (x.home == "a" ? "b" : "a") : "c"));
  const auto again = x.move("vm.0", x.there);
  REQUIRE(again);
  CHECK(again->name() == begun->name());
  REQUIRE(x.settle(begun->name(), true) == "moved");
  x.pass(3);
  CHECK(x.record("vm.0")->node() == x.there);
  CHECK(x.record("vm.0")->epoch() > x.epoch);
  CHECK_FALSE(x.record("vm.0")->has_move());
  CHECK(x.where("vm.0") == std::vector{x.there});
  CHECK(x.nodes.at(x.there).starts == 0);
  CHECK(x.look_at(begun->name()).phase() == "moved");
  // Whoever asks once more hears the same, whatever he would like.
  CHECK(x.settle(begun->name(), true) == "moved");
  CHECK(x.settle(begun->name(), false) == "moved");
}

SCENARIO("a move that is given up leaves the machine where it is, for good") {
  auto x = ground{};
  x.epoch = x.record("vm.0")->epoch();
  const auto begun = x.move("vm.0", x.there);
  REQUIRE(begun);
  x.pass(3);
  SUBCASE("because its source says so") {
    REQUIRE(x.settle(begun->name(), false) == "kept");
  }
  SUBCASE("because somebody cancels it") {
    auto cancel = wire::CancelMigration{};
    cancel.set_name(begun->name());
    REQUIRE(x.stage.ask<wire::Done>(x.boss(), cancel));
  }
  SUBCASE("because the machine at the target ended") {
    x.nodes.at(x.there).has.at("vm.0").set_phase(wire::PHASE_FAILED);
    x.nodes.at(x.there).news = true;
  }
  SUBCASE("because the target is lost") {
    x.cut(x.there);
    x.pass(30);
  }
  x.pass(4);
  CHECK(x.look_at(begun->name()).phase() == "kept");
  CHECK(x.look_at(begun->name()).reason() != "");
  CHECK(x.record("vm.0")->node() == x.home);
  CHECK(x.record("vm.0")->epoch() == x.epoch);
  CHECK_FALSE(x.nodes.at(x.home).assigned.at("vm.0").has_move());
  CHECK(x.nodes.at(x.home).runs("vm.0"));
  CHECK(x.nodes.at(x.home).starts == 1);
  CHECK(x.settle(begun->name(), true) == "kept");
  if (x.nodes.at(x.there).connected)
    CHECK_FALSE(x.nodes.at(x.there).assigned.contains("vm.0"));
  // And it can be tried again.
  const auto again = x.move("vm.0", "c" == x.home ? "b" : "c");
  REQUIRE(again);
  CHECK(again->name() != begun->name());
}

SCENARIO("what changes its format meanwhile stays") {
  auto x = ground{};
  x.epoch = x.record("vm.0")->epoch();
  const auto begun = x.move("vm.0", x.there);
  REQUIRE(begun);
  x.pass(3);
  x.nodes.at(x.home).has.at("vm.0").set_kind(wire::WORKLOAD_KIND_SANDBOX);
  x.nodes.at(x.home).news = true;
  x.pass(4);
  CHECK(x.look_at(begun->name()).phase() == "kept");
  CHECK(x.look_at(begun->name()).reason().find("format") != std::string::npos);
  CHECK(x.settle(begun->name(), true) == "kept");
  CHECK(x.nodes.at(x.home).runs("vm.0"));
}

SCENARIO("what a move would take is said without moving anything") {
  auto x = ground{};
  x.epoch = x.record("vm.0")->epoch();
  auto asked = wire::Migrate{};
  asked.set_name("vm");
  asked.set_node(x.there);
  asked.set_only_check(true);
  const auto planned = x.stage.ask<wire::Migration>(x.boss(), asked);
  REQUIRE(planned);
  CHECK(planned->phase() == "planned");
  CHECK(planned->instance() == "vm.0");
  CHECK(planned->source() == x.home);
  CHECK(planned->expected().seconds() > 0);
  CHECK(planned->expected().moves() == 0);
  x.pass(3);
  CHECK_FALSE(x.record("vm.0")->has_move());
  CHECK_FALSE(x.nodes.at(x.there).has.contains("vm.0"));
  // What was expected is kept beside what came of it, and the next one is reckoned from that.
  const auto begun = x.move("vm.0", x.there);
  REQUIRE(begun);
  x.pass(3);
  REQUIRE(x.settle(begun->name(), true) == "moved");
  x.pass(3);
  const auto was = x.look_at(begun->name());
  CHECK(was.expected().memory_bytes() == planned->expected().memory_bytes());
  CHECK(was.ended_ms() > was.began_ms());
  asked.set_node(x.home);
  const auto back = x.stage.ask<wire::Migration>(x.boss(), asked);
  REQUIRE(back);
  CHECK(back->expected().moves() == 1);
}

SCENARIO("two nodes have one move between them at a time, and each has two") {
  auto x = ground{};
  x.add_node("d");
  for (const auto* name : {"m1", "m2", "m3", "m4", "m5", "m6", "m7"})
    REQUIRE(x.submit(play::machine(name)));
  x.pass(6);
  const auto on = [&](const std::string& node, std::size_t nth) {
    for (const auto* name : {"m1.0", "m2.0", "m3.0", "m4.0", "m5.0", "m6.0", "m7.0"})
      if (x.where(name) == std::vector{node} && nth-- == 0)
        return std::string{name};
    FAIL("too few on " << node);
    return std::string{};
  };
  const auto why_not = [&](const std::string& name, const std::string& to) {
    const auto said = x.move(name, to);
    return said ? std::string{} : explain(said.error()).text;
  };
  CHECK(why_not(on("a", 0), "b") == "");
  CHECK(why_not(on("b", 0), "a").find("moves between b and a") != std::string::npos);
  CHECK(why_not(on("c", 0), "b") == "");
  CHECK(why_not(on("d", 0), "b").find("b has 2 moves under way") != std::string::npos);
  CHECK(why_not(on("c", 1), "d") == "");
}

SCENARIO("what shall be on one node alone is not moved from there") {
  auto x = ground{};
  auto spec = play::machine("pinned");
  (*spec.mutable_placement()->mutable_require())["node"] = x.home;
  REQUIRE(x.submit(spec));
  x.pass(4);
  REQUIRE(x.where("pinned.0") == std::vector{x.home});
  const auto said = x.move("pinned.0", x.there);
  REQUIRE_FALSE(said);
  CHECK(explain(said.error()).text.find("node") != std::string::npos);
  CHECK_FALSE(x.record("pinned.0")->has_move());
}

SCENARIO("what comes to a node takes its room there once, also for a new leader") {
  auto x = ground{};
  REQUIRE(x.move("vm.0", x.there));
  x.pass(3);
  REQUIRE(x.nodes.at(x.there).has.contains("vm.0"));
  x.book.lead("cloud-2");
  x.pass(4);
  // Of four processors one is kept for what comes: three are left, and no more.
  auto spec = play::service("web", 4);
  (*spec.mutable_placement()->mutable_require())["node"] = x.there;
  REQUIRE(x.submit(spec));
  x.pass(4);
  auto placed = 0;
  for (const auto* name : {"web.0", "web.1", "web.2", "web.3"})
    placed += x.where(name) == std::vector{x.there};
  CHECK(placed == 3);
}

SCENARIO("what stops while it moves ends in both places") {
  auto x = ground{};
  const auto begun = x.move("vm.0", x.there);
  REQUIRE(begun);
  x.pass(3);
  REQUIRE(x.stop("vm"));
  x.pass(6);
  CHECK(x.where("vm.0").empty());
  CHECK(x.look_at(begun->name()).phase() == "kept");
}

SCENARIO("a move that cannot be made is refused before it begins, with what can be done") {
  auto x = ground{};
  const auto refusal = [&](const std::string& name, const std::string& to) {
    const auto said = x.move(name, to);
    REQUIRE_FALSE(said);
    return explain(said.error()).text;
  };
  // Its node knows best whether it can.
  x.nodes.at(x.home).has.at("vm.0").set_immovable("it has most of its memory from a template");
  x.nodes.at(x.home).news = true;
  x.pass(2);
  CHECK(refusal("vm.0", x.there).find("from a template") != std::string::npos);
  x.nodes.at(x.home).has.at("vm.0").clear_immovable();
  x.nodes.at(x.home).news = true;
  x.pass(2);
  CHECK(refusal("nobody", x.there).find("no workload or instance") != std::string::npos);
  CHECK(refusal("vm.0", "nowhere").find("no node called") != std::string::npos);
  CHECK(refusal("vm.0", x.home).find("already") != std::string::npos);
  REQUIRE(x.submit(play::service("web")));
  auto bridged = play::machine("bridged");
  bridged.mutable_network()->set_mode("bridge");
  REQUIRE(x.submit(bridged));
  x.pass(4);
  const auto other = [&](const std::string& instance) { return x.where(instance).front() == "a" ? "b" : "a"; };
  CHECK(refusal("web.0", other("web.0")).find("no virtual machine") != std::string::npos);
  CHECK(refusal("bridged.0", other("bridged.0")).find("network") != std::string::npos);
  auto large = play::machine("large");
  large.mutable_resources()->set_cpu_milli(3900);
  REQUIRE(x.submit(large));
  x.pass(4);
  if (!x.where("large.0").empty())
    CHECK(refusal("vm.0", x.where("large.0").front()) != "");
}
