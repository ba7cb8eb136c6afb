#include "actors/simulation/world.hpp"

#include "messages/language.hpp"
#include "messages/registry.hpp"
#include "messages/wire/node.pb.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

using namespace novacron;
using namespace novacron::simulation;
using namespace std::chrono_literals;

namespace {

wire::Resources room_for(std::uint64_t cpu_milli, std::uint64_t memory) {
  auto x = wire::Resources{};
  x.set_cpu_milli(cpu_milli);
  x.set_memory_bytes(memory);
  return x;
}

/// Controllers and edges that join all of them.
void furnish(world& here, int edges, int controllers = 1) {
  auto names = std::vector<std::string>{};
  for (auto i = 1; i <= controllers; ++i) {
    const auto name = "cloud-" + std::to_string(i);
    here.add(
        {.name = name, .role = "cloud", .capacity = room_for(8000, 16ull << 30), .workloads = false, .joins = names});
    names.push_back(name);
  }
  for (auto i = 1; i <= edges; ++i)
    here.add({.name = "edge-" + std::to_string(i),
              .zone = i % 2 ? "a" : "b",
              .capacity = room_for(4000, 8ull << 30),
              .joins = names});
  here.start();
  here.advance(5s);
}

wire::WorkloadSpec service(const std::string& name, std::uint32_t replicas,
                           wire::OnDisconnect action = wire::ON_DISCONNECT_KEEP) {
  auto x = wire::WorkloadSpec{};
  x.set_name(name);
  x.set_kind(wire::WORKLOAD_KIND_CONTAINER);
  x.mutable_program()->set_image("web:1");
  x.mutable_resources()->set_cpu_milli(500);
  x.mutable_resources()->set_memory_bytes(64 << 20);
  x.mutable_on_disconnect()->set_action(action);
  x.set_replicas(replicas);
  return x;
}

template <class Answer, class Question>
caf::expected<Answer> ask(world& here, const std::string& actor, const Question& x) {
  auto found = std::move(here.ask(*here.controller(), {actor}, caf::make_message(x), 30s).front());
  if (!found)
    return found.error();
  if (!found->template match_elements<Answer>())
    return caf::make_error(fault::unspecified, caf::to_string(*found));
  return found->template get_as<Answer>(0);
}

/// Submits and waits until all of it runs.
bool run(world& here, const wire::WorkloadSpec& spec) {
  auto order = wire::Submit{};
  *order.mutable_spec() = spec;
  const auto done = ask<wire::Submitted>(here, "scheduler", order);
  return done && here.advance_until(1min, [&] { return here.watch().running(spec.name()) == spec.replicas(); });
}

void cut_off(world& here, const std::string& name, bool one_way = false) {
  auto one = host_set{};
  auto others = host_set{};
  for (const auto& x : here.machines())
    (x.facts.name() == name ? one : others).add(x.number);
  here.wires().cut(name, one, others, one_way);
  here.rewire();
}

void heal(world& here, const std::string& name) {
  here.wires().heal(name);
  here.rewire();
}

/// Plays the same story and returns its trace.
std::uint64_t story(std::uint64_t seed) {
  auto here = world{{.seed = seed}};
  furnish(here, 4);
  CHECK(run(here, service("web", 5, wire::ON_DISCONNECT_REPLACE)));
  here.crash(*here.find("edge-1"));
  here.advance(1min);
  here.restart(*here.find("edge-1"));
  here.advance(1min);
  CHECK(here.watch().running("web") == 5);
  return here.stage().trace();
}

} // namespace

SCENARIO("the shipping actors form a fabric on virtual hosts and run what they are asked for") {
  auto here = world{{.seed = 7}};
  furnish(here, 6);
  CHECK(run(here, service("web", 9)));
  const auto nodes = ask<wire::NodeList>(here, "scheduler", wire::NodeListRequest{});
  REQUIRE(nodes);
  CHECK(nodes->nodes_size() == 7);
  for (const auto& x : nodes->nodes())
    CHECK(x.state() == "ready");
  CHECK(here.watch().violations().empty());
}

SCENARIO("one seed is one history, and another seed another") {
  const auto first = story(7);
  CHECK(first == story(7));
  CHECK(first != story(8));
}

SCENARIO("a power loss ends what runs, the end of a node process does not") {
  auto here = world{{.seed = 3}};
  furnish(here, 3);
  REQUIRE(run(here, service("web", 6)));
  auto& edge = *here.find("edge-1");
  const auto there = here.watch().running_on(edge.number);
  REQUIRE(there > 0);
  const auto starts = here.watch().starts();
  here.kill(edge);
  here.advance(2min);
  CHECK(here.watch().running_on(edge.number) == there);
  here.restart(edge);
  here.advance(30s);
  CHECK(here.watch().running_on(edge.number) == there);
  CHECK(here.watch().starts() == starts);
  here.crash(edge);
  CHECK(here.watch().running_on(edge.number) == 0);
  here.restart(edge);
  here.advance(1min);
  CHECK(here.watch().running("web") == 6);
  CHECK(here.watch().violations().empty());
}

SCENARIO("an edge that is cut off for three days runs on, and its return restarts nothing") {
  auto here = world{{.seed = 5}};
  furnish(here, 3);
  REQUIRE(run(here, service("web", 6)));
  const auto starts = here.watch().starts();
  cut_off(here, "edge-2");
  here.advance(72h);
  CHECK(here.watch().running("web") == 6);
  heal(here, "edge-2");
  CHECK(here.advance_until(2min, [&] { return here.node_of(*here.find("cloud-1"))->names().present().size() == 3; }));
  here.advance(1min);
  CHECK(here.watch().starts() == starts);
  CHECK(here.watch().violations().empty());
}

SCENARIO(
    "a cut shorter than anybody's patience delays, a longer one breaks the connection, in one direction as in both") {
  for (const auto one_way : {false, true}) {
    auto here = world{{.seed = 9}};
    furnish(here, 2);
    const auto broken = here.post().counted().broken;
    cut_off(here, "edge-1", one_way);
    here.advance(2s);
    heal(here, "edge-1");
    here.advance(10s);
    CHECK(here.post().counted().broken == broken);
    CHECK(here.node_of(*here.find("cloud-1"))->names().present().size() == 2);
    cut_off(here, "edge-1", one_way);
    here.advance(15s);
    CHECK(here.post().counted().broken == broken + 1);
    CHECK(here.node_of(*here.find("cloud-1"))->names().present().size() == 1);
    heal(here, "edge-1");
    here.advance(1min);
    CHECK(here.node_of(*here.find("cloud-1"))->names().present().size() == 2);
  }
}

SCENARIO("a cut that only one end of a link takes for the end of it is known to both, and mended") {
  // Between the patience of links and that of connections; what each end hears of it depends on when it began.
  for (auto phase = 0; phase < 10; ++phase) {
    INFO("phase " << phase);
    auto here = world{{.seed = 10}};
    furnish(here, 2);
    here.advance(phase * 100ms);
    cut_off(here, "edge-1", true);
    here.advance(4200ms);
    heal(here, "edge-1");
    here.advance(20s);
    for (const auto& [name, peers] : {std::pair{"cloud-1", 2u}, {"edge-1", 1u}, {"edge-2", 1u}})
      CHECK(here.node_of(*here.find(name))->names().present().size() == peers);
    CHECK(run(here, service("web", 4)));
    CHECK(here.watch().running_on(here.find("edge-1")->number) == 2);
  }
}

SCENARIO("a way to somebody who is not there yet is connected soon after he is") {
  auto here = world{{.seed = 13}};
  furnish(here, 1);
  const auto way = here.node_of(*here.find("edge-1"))->names().way_to("cloud-1", "newcomer");
  here.advance(45s);
  CHECK_FALSE(way->connected());
  here.node_of(*here.find("cloud-1"))->names().open("newcomer");
  here.advance(5s);
  CHECK(way->connected());
}

SCENARIO("with each beat a peer says again who leads, for whoever heard otherwise meanwhile") {
  auto here = world{{.seed = 14}};
  furnish(here, 1, 3);
  auto& names = here.node_of(*here.find("edge-1"))->names();
  const auto leader = names.leader();
  REQUIRE_FALSE(leader.empty());
  for (const auto* other : {"cloud-9", ""}) {
    names.lead(other);
    CHECK(names.leader() == other);
    here.advance(3s);
    CHECK(names.leader() == leader);
  }
}

SCENARIO("who leads is told once when it has changed, and no more with each beat") {
  auto here = world{{.seed = 18}};
  furnish(here, 2, 3);
  auto told = 0;
  here.post().heard = [&](const caf::type_erased_tuple& x) {
    told += x.match_elements<wire::Beat>() && !x.get_as<wire::Beat>(0).leader().empty();
  };
  here.advance(30s);
  CHECK(told == 0);
  here.crash(*here.controller());
  here.advance(1min);
  CHECK(told > 0);
  told = 0;
  here.advance(1min);
  CHECK(told == 0);
}

SCENARIO("what need not be encoded arrives whole, and as often as the network carries it") {
  auto here = world{{.seed = 17, .post = {.encoded = false}}};
  furnish(here, 3);
  CHECK(run(here, service("web", 4)));
  auto heard = std::uint64_t{0};
  here.post().heard = [&](const caf::type_erased_tuple& x) { heard += !name_of(x).empty(); };
  here.wires().usual.doubled = 500'000;
  const auto before = here.post().counted();
  here.advance(1min);
  const auto after = here.post().counted();
  CHECK(after.doubled > before.doubled + 20);
  CHECK(heard == after.delivered - before.delivered);
}

SCENARIO("nodes that came in the same moment do not beat in the same moment") {
  auto here = world{{.seed = 15}};
  furnish(here, 60);
  here.advance(10s);
  const auto count = [&](moment time) {
    const auto before = here.post().counted().delivered;
    here.advance(time);
    return here.post().counted().delivered - before;
  };
  auto most = std::uint64_t{0};
  for (auto i = 0; i < 20; ++i)
    most = std::max(most, count(50ms));
  // Of 120 in a second.
  CHECK(most <= 24);
}

SCENARIO("a peer that does not answer for a while is asked one question, and beats as before when it does") {
  auto here = world{{.seed = 16}};
  furnish(here, 2);
  here.advance(10s);
  const auto count = [&] {
    const auto before = here.post().counted().delivered;
    here.advance(1min);
    return here.post().counted().delivered - before;
  };
  const auto quiet = count();
  for (auto round = 0; round < 5; ++round) {
    here.slow_down(*here.find("cloud-1"), 0);
    here.advance(2200ms);
    here.slow_down(*here.find("cloud-1"), 1);
    here.advance(10s);
  }
  for (const auto* name : {"edge-1", "edge-2"}) {
    const auto links =
        here.ask(*here.find(name), {"door"}, caf::make_message(wire::LinkListRequest{}), 30s).front();
    REQUIRE(links);
    CHECK(links->get_as<wire::LinkList>(0).links(0).reconnects() == 0);
  }
  CHECK(count() <= quiet + quiet / 10);
}

SCENARIO("three controllers outlive the loss of the one that leads, and forget no order") {
  auto here = world{{.seed = 11}};
  furnish(here, 3, 3);
  REQUIRE(run(here, service("web", 3)));
  const auto first = here.truth().leader();
  REQUIRE(first);
  here.crash(here.machines()[*first]);
  CHECK(here.advance_until(10s, [&] { return here.truth().leader().has_value() && *here.truth().leader() != *first; }));
  here.advance(5s);
  CHECK(run(here, service("more", 2)));
  here.restart(here.machines()[*first]);
  here.advance(1min);
  CHECK(here.truth().of(*first).index() == here.truth().truth().index());
  CHECK(here.truth().disagreement().empty());
  CHECK(here.watch().running("web") == 3);
  CHECK(here.watch().violations().empty());
}

SCENARIO("two of three controllers go on while the third hears nobody") {
  auto here = world{{.seed = 12}};
  furnish(here, 2, 3);
  const auto first = here.truth().leader();
  REQUIRE(first);
  const auto name = here.machines()[*first].facts.name();
  cut_off(here, name);
  CHECK(here.advance_until(10s, [&] { return here.truth().leader() && *here.truth().leader() != *first; }));
  here.advance(10s);
  CHECK(run(here, service("web", 2)));
  heal(here, name);
  here.advance(30s);
  CHECK(here.truth().of(*first).index() == here.truth().truth().index());
  CHECK(here.truth().disagreement().empty());
}

SCENARIO("slow and stuck hosts do everything later, and nothing twice") {
  auto here = world{{.seed = 13}};
  furnish(here, 3);
  here.slow_down(*here.find("edge-1"), 100);
  CHECK(run(here, service("web", 6)));
  here.slow_down(*here.find("edge-1"), 0);
  here.advance(1min);
  CHECK(here.node_of(*here.find("cloud-1"))->names().present().size() == 2);
  here.slow_down(*here.find("edge-1"), 1);
  here.advance(1min);
  CHECK(here.node_of(*here.find("cloud-1"))->names().present().size() == 3);
  CHECK(here.watch().running("web") == 6);
  CHECK(here.watch().violations().empty());
}

SCENARIO("no clock of the wall decides anything") {
  auto here = world{{.seed = 14}};
  furnish(here, 3);
  REQUIRE(run(here, service("web", 6, wire::ON_DISCONNECT_REPLACE)));
  const auto starts = here.watch().starts();
  for (const auto offset :
       {std::chrono::nanoseconds{24h}, std::chrono::nanoseconds{-24h}, std::chrono::nanoseconds{1h}}) {
    for (auto& x : here.machines())
      here.skew(x, offset, 0);
    here.advance(5min);
  }
  CHECK(here.watch().starts() == starts);
  CHECK(here.post().counted().broken == 0);
  CHECK(here.truth().elections() == 1);
}

SCENARIO("a full disk takes no assignment, and takes it once there is room") {
  auto here = world{{.seed = 15}};
  furnish(here, 1);
  here.find("edge-1")->disk->fill(true);
  CHECK_FALSE(run(here, service("web", 1)));
  here.find("edge-1")->disk->fill(false);
  CHECK(here.advance_until(2min, [&] { return here.watch().running("web") == 1; }));
}
