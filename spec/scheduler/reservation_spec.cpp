#include "actors/scheduler/reservation.hpp"

#include "actors/scheduler/orders.hpp"
#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::scheduler;
using novacron::spec::play;

namespace {

amount cpu(std::int64_t milli) {
  auto x = amount{};
  x.cpu_milli = milli;
  return x;
}

request asks(std::int64_t milli, const std::string& tenant, const std::string& name = "") {
  auto x = request{};
  x.workload = "w";
  x.need = cpu(milli);
  x.tenant = tenant;
  x.reservation = name;
  return x;
}

cluster two_nodes(std::int64_t gpu_milli = 0) {
  auto all = cluster{};
  for (const auto* name : {"n1", "n2"}) {
    auto shape = node_shape{};
    shape.name = name;
    shape.capacity = cpu(4000);
    shape.capacity.gpu_milli = gpu_milli;
    all.set_node(shape);
  }
  return all;
}

/// A fabric in which room is kept.
class keeping : public play {
public:
  using play::play;

  caf::expected<wire::Done> reserve(const std::string& name, std::uint32_t places, std::uint64_t cpu_milli,
                                    const std::string& tenant = "", std::uint64_t begins_in_s = 0,
                                    std::uint64_t lasts_s = 0) {
    auto x = wire::SetReservation{};
    x.mutable_reservation()->set_name(name);
    x.mutable_reservation()->set_places(places);
    x.mutable_reservation()->set_tenant(tenant);
    x.mutable_reservation()->mutable_resources()->set_cpu_milli(cpu_milli);
    x.set_begins_in_ms(begins_in_s * 1000);
    x.set_lasts_ms(lasts_s * 1000);
    return stage.ask<wire::Done>(boss(), x);
  }

  caf::expected<wire::Done> unreserve(const std::string& name) {
    auto x = wire::SetReservation{};
    x.mutable_reservation()->set_name(name);
    x.set_removed(true);
    return stage.ask<wire::Done>(boss(), x);
  }

  wire::ReservationView kept(const std::string& name) {
    const auto all = stage.ask<wire::ReservationList>(boss(), wire::ReservationListRequest{});
    for (const auto& each : all->reservations())
      if (each.reservation().name() == name)
        return each;
    return {};
  }

  static wire::WorkloadSpec of(const std::string& name, std::uint32_t replicas, const std::string& reservation,
                               const std::string& tenant = "") {
    auto spec = service(name, replicas);
    spec.mutable_placement()->set_reservation(reservation);
    spec.set_tenant(tenant);
    return spec;
  }

  std::string reason(const std::string& workload) { return look(workload).reason(); }
};

} // namespace

SCENARIO("what is kept is what the places have, less what those have there who have a right to it") {
  auto x = reservations{};
  x.set("gpu", reservation{"", cpu(2000), {"n1", "n1", "n2"}});
  x.set("team", reservation{"a", cpu(1000), {"n1"}});
  CHECK(x.kept_on("n1").at("gpu").cpu_milli == 4000);
  CHECK(x.kept_on("n2").at("gpu").cpu_milli == 2000);
  CHECK(x.kept_on("n3").empty());

  x.draw("mine", "n1", asks(1500, "", "gpu"));
  x.draw("strange", "n1", asks(500, "b"));
  x.draw("elsewhere", "n3", asks(500, "", "gpu"));
  CHECK(x.kept_on("n1").at("gpu").cpu_milli == 2500);
  CHECK(x.kept_on("n1").at("team").cpu_milli == 1000);
  CHECK(x.draws("mine"));
  CHECK_FALSE(x.draws("strange"));
  CHECK_FALSE(x.draws("elsewhere"));
  CHECK(x.taken_of("gpu").cpu_milli == 1500);

  // More than there is takes all there is, and no more.
  x.draw("greedy", "n1", asks(9000, "a"));
  CHECK(x.kept_on("n1").at("team").cpu_milli == 0);
  CHECK(x.kept_on("n1").at("gpu").cpu_milli == 2500);
  x.undraw("greedy");
  x.undraw("mine");
  CHECK(x.kept_on("n1").at("team").cpu_milli == 1000);
  CHECK(x.kept_on("n1").at("gpu").cpu_milli == 4000);

  CHECK(x.closed_on("n1", asks(1, "")).cpu_milli == 5000);
  CHECK(x.closed_on("n1", asks(1, "a")).cpu_milli == 4000);
  CHECK(x.closed_on("n1", asks(1, "a", "gpu")).cpu_milli == 1000);
  x.set("gpu", std::nullopt);
  CHECK(x.closed_on("n1", asks(1, "")).cpu_milli == 1000);
}

SCENARIO("those that name a reservation take of it first, and the others of its tenant what is left") {
  auto x = reservations{};
  x.set("a", reservation{"t", cpu(1000), {"n1"}});
  x.set("b", reservation{"t", cpu(1000), {"n1"}});
  x.draw("any", "n1", asks(1200, "t"));
  CHECK(x.kept_on("n1").at("a").cpu_milli == 0);
  CHECK(x.kept_on("n1").at("b").cpu_milli == 800);
  x.draw("named", "n1", asks(700, "t", "a"));
  CHECK(x.kept_on("n1").at("a").cpu_milli == 0);
  CHECK(x.kept_on("n1").at("b").cpu_milli == 100);
  // It is another tenant's.
  CHECK(x.open_to(asks(1, "u", "a")).empty());
  CHECK(x.open_to(asks(1, "", "a")).empty());
  CHECK(x.open_to(asks(1, "")).empty());
}

SCENARIO("a request goes into room that is kept for it first, and nobody else goes there") {
  auto all = two_nodes();
  auto x = reservations{};
  x.set("r", reservation{"", cpu(3000), {"n2"}});
  hold_reserved(all, x, "n2");
  CHECK(place_reserved(all, x, asks(1000, "", "r"))->node == "n2");
  // What it needs beyond is free there, too.
  CHECK(place_reserved(all, x, asks(4000, "", "r"))->node == "n2");
  all.take("early", hold{"n2", "early", cpu(500), {}, {}, {}});
  CHECK(place_reserved(all, x, asks(4000, "", "r"))->node == "n1");
  all.release("early");
  CHECK(place_reserved(all, x, asks(2000, ""))->node == "n1");
  all.take("full", hold{"n1", "full", cpu(4000), {}, {}, {}});
  CHECK_FALSE(place_reserved(all, x, asks(2000, "")));
  CHECK(place_reserved(all, x, asks(4000, "", "r"))->node == "n2");
  const auto why = all.explain(asks(2000, ""));
  REQUIRE(why.refusals.size() == 2);
  CHECK(why.refusals[0].cause == "cpu");
  CHECK(why.refusals[1].cause == "reserved");
  CHECK(why.refusals[1].detail == "wants 2000 of cpu, 1000 free, 3000 kept for r");
  CHECK(why.summary == "2 nodes: 1 lack cpu, 1 with the room reserved");
  x.set("r", std::nullopt);
  for (const auto& node : x.take_changed())
    hold_reserved(all, x, node);
  CHECK(place_reserved(all, x, asks(2000, ""))->node == "n2");
  CHECK(all.held_on("n2").empty());
}

SCENARIO("devices are kept as whole ones, and a part on one device") {
  auto all = two_nodes(3000);
  auto place = cpu(0);
  place.gpu_milli = 500;
  auto x = reservations{};
  x.set("r", reservation{"", place, {"n1", "n1", "n1"}});
  hold_reserved(all, x, "n1");
  auto free = all.gpus_on("n1");
  std::ranges::sort(free);
  CHECK(free == std::vector<std::int64_t>{0, 500, 1000});
  auto whole = asks(0, "", "r");
  whole.need.gpu_milli = 1000;
  const auto where = place_reserved(all, x, whole);
  REQUIRE(where);
  CHECK(where->node == "n1");
  all.take("i", hold_of(whole, *where));
  x.draw("i", "n1", whole);
  hold_reserved(all, x, "n1");
  free = all.gpus_on("n1");
  std::ranges::sort(free);
  CHECK(free == std::vector<std::int64_t>{0, 500, 1000});
}

SCENARIO("room that is kept stays free for those that name it") {
  auto x = keeping{};
  x.add_node("n1");
  x.add_node("n2");
  REQUIRE(x.reserve("r", 2, 3000));
  CHECK(x.kept("r").state() == "kept");
  CHECK(x.kept("r").reservation().nodes_size() == 2);
  // Two nodes of four cores each: without what is kept there is room for two.
  REQUIRE(x.submit(play::service("strange", 4)));
  x.pass(3);
  CHECK(x.running("strange") == 2);
  CHECK(x.reason("strange").find("reserved") != std::string::npos);
  REQUIRE(x.submit(keeping::of("mine", 6, "r")));
  x.pass(3);
  CHECK(x.running("mine") == 6);
  CHECK(x.kept("r").taken().cpu_milli() == 6000);
  WHEN("some of them end") {
    REQUIRE(x.submit(keeping::of("mine", 2, "r")));
    x.pass(5);
    THEN("their room is kept again") {
      CHECK(x.running("strange") == 2);
      CHECK(x.kept("r").taken().cpu_milli() == 2000);
    }
  }
  WHEN("it is kept no more") {
    REQUIRE(x.submit(keeping::of("mine", 2, "r")));
    REQUIRE(x.unreserve("r"));
    x.pass(5);
    THEN("who waits goes there, and what runs stays") {
      CHECK(x.running("strange") == 4);
      CHECK(x.running("mine") == 2);
      CHECK_FALSE(x.unreserve("r"));
    }
  }
  WHEN("others are asked about") {
    auto question = wire::Explain{};
    question.set_name("strange");
    const auto why = x.stage.ask<wire::Explanation>(x.boss(), question);
    REQUIRE(why);
    auto told = false;
    for (const auto& instance : why->instances())
      for (const auto& each : instance.refusals())
        told = told || (each.cause() == "cpu" || each.cause() == "reserved");
    CHECK(told);
  }
}

SCENARIO("all workloads of a tenant may take the room that is kept for it, and those of others may not name it") {
  auto x = keeping{};
  x.add_node("n1");
  REQUIRE(x.reserve("r", 1, 4000, "a"));
  REQUIRE(x.submit(keeping::of("other", 1, "r", "b")));
  REQUIRE(x.submit(keeping::of("own", 1, "", "a")));
  REQUIRE(x.submit(keeping::of("named", 1, "r", "a")));
  x.pass(3);
  CHECK(x.running("other") == 0);
  CHECK(x.running("own") == 1);
  CHECK(x.running("named") == 1);
  // It becomes theirs without a new start.
  REQUIRE(x.submit(keeping::of("other", 1, "r", "a")));
  x.pass(3);
  CHECK(x.running("other") == 1);
  CHECK(x.kept("r").taken().cpu_milli() == 3000);
}

SCENARIO("a reservation begins and ends in its time") {
  auto x = keeping{};
  x.add_node("n1");
  REQUIRE(x.submit(play::service("early", 3)));
  x.pass(2);
  REQUIRE(x.reserve("r", 1, 3000, "", 60, 60));
  CHECK(x.kept("r").state() == "waits");
  REQUIRE(x.submit(play::service("late", 1)));
  x.pass(50);
  CHECK(x.running("late") == 1);
  x.pass(15);
  // Nobody is evicted, but what becomes free is kept.
  CHECK(x.kept("r").state() == "short");
  CHECK(x.kept("r").reason().find("n1") != std::string::npos);
  CHECK(x.running("early") == 3);
  REQUIRE(x.stop("early"));
  x.pass(3);
  CHECK(x.kept("r").state() == "kept");
  REQUIRE(x.submit(play::service("more", 1)));
  x.pass(3);
  CHECK(x.running("more") == 0);
  x.pass(60);
  CHECK(x.kept("r").state().empty());
  CHECK(x.running("more") == 1);
}

SCENARIO("another controller keeps the same room at the same nodes") {
  auto x = keeping{{"cloud-1", "cloud-2"}};
  for (const auto* node : {"n1", "n2", "n3"})
    x.add_node(node);
  REQUIRE(x.reserve("r", 2, 4000));
  REQUIRE(x.submit(keeping::of("mine", 1, "r")));
  x.pass(3);
  const auto before = x.kept("r").reservation();
  x.book.lead("cloud-2");
  x.stage.settle();
  x.pass(3);
  CHECK(x.kept("r").reservation().SerializeAsString() == before.SerializeAsString());
  CHECK(x.kept("r").taken().cpu_milli() == 1000);
  REQUIRE(x.submit(play::service("strange", 8)));
  x.pass(5);
  CHECK(x.running("strange") == 4);
  REQUIRE(x.submit(keeping::of("mine", 8, "r")));
  x.pass(5);
  CHECK(x.running("mine") == 8);
}

SCENARIO("places leave nodes that are drained, lost or forgotten") {
  auto x = keeping{};
  x.add_node("n1");
  x.add_node("n2");
  REQUIRE(x.reserve("r", 1, 4000));
  REQUIRE(x.kept("r").reservation().nodes_size() == 1);
  const auto first = x.kept("r").reservation().nodes(0);
  const auto other = first == "n1" ? "n2" : "n1";
  WHEN("it is drained") {
    REQUIRE(x.drain(first));
    x.pass(2);
  }
  WHEN("it is lost") {
    x.cut(first);
    x.pass(2);
    // A link that breaks for a moment moves nothing.
    CHECK(x.kept("r").reservation().nodes(0) == first);
    x.pass(20);
  }
  WHEN("it is forgotten") {
    x.cut(first);
    x.stage.settle();
    REQUIRE(x.forget(first));
    x.pass(1);
  }
  REQUIRE(x.kept("r").reservation().nodes_size() == 1);
  CHECK(x.kept("r").reservation().nodes(0) == other);
}

SCENARIO("two reservations never keep the same room") {
  auto x = keeping{};
  x.add_node("n1");
  x.add_node("n2");
  REQUIRE(x.reserve("a", 1, 3000));
  REQUIRE(x.reserve("b", 1, 3000));
  REQUIRE(x.reserve("c", 2, 1000));
  REQUIRE(x.reserve("d", 1, 1000));
  CHECK(x.kept("a").reservation().nodes(0) != x.kept("b").reservation().nodes(0));
  CHECK(x.kept("c").state() == "kept");
  CHECK(x.kept("d").state() == "short");
  CHECK(x.kept("d").reservation().nodes_size() == 0);
  x.add_node("n3");
  x.pass(2);
  CHECK(x.kept("d").state() == "kept");
}

SCENARIO("what is to be kept is refused when it makes no sense") {
  const auto now = truth{};
  auto good = wire::SetReservation{};
  good.mutable_reservation()->set_name("r");
  good.mutable_reservation()->mutable_resources()->set_cpu_milli(1000);
  CHECK_FALSE(order_reservation(now, good, 1000).refused);
  const auto refused = [&](auto bend) {
    auto x = good;
    bend(x);
    return order_reservation(now, x, 1000).refused.has_value();
  };
  CHECK(refused([](auto& x) { x.mutable_reservation()->set_name("Big One"); }));
  CHECK(refused([](auto& x) { x.mutable_reservation()->set_tenant("?"); }));
  CHECK(refused([](auto& x) { x.mutable_reservation()->clear_resources(); }));
  CHECK(refused([](auto& x) { x.mutable_reservation()->set_places(1001); }));
  CHECK(refused([](auto& x) { x.mutable_reservation()->set_until_ms(500); }));
  CHECK(refused([](auto& x) { x.mutable_reservation()->mutable_resources()->set_gpu_milli(1500); }));
  CHECK(refused([](auto& x) { x.set_lasts_ms(~std::uint64_t{0}); }));
  CHECK(refused([](auto& x) { x.set_removed(true); }));
  CHECK_FALSE(what_is_wrong(keeping::of("w", 1, "Not A Name")).empty());
}

SCENARIO("strangers never have what is kept, whatever is ordered") {
  for (auto seed = std::uint64_t{1}; seed <= 40; ++seed) {
    CAPTURE(seed);
    auto chance = std::mt19937_64{seed};
    const auto roll = [&](std::uint64_t n) { return chance() % n; };
    auto x = keeping{};
    for (const auto* node : {"n1", "n2", "n3"})
      x.add_node(node, "a", 2000 + 1000 * roll(4));
    // Before anything runs, so that nobody was there first.
    REQUIRE(x.reserve("a", 1 + static_cast<std::uint32_t>(roll(2)), 500 * (1 + roll(3)), roll(2) ? "t" : ""));
    REQUIRE(x.reserve("b", 1, 500 * (1 + roll(3))));
    for (auto step = 0; step < 12; ++step) {
      // Whoever changes what it has a right to stays where it is.
      const auto who = roll(5);
      auto spec = keeping::of("w" + std::to_string(who), static_cast<std::uint32_t>(1 + roll(4)),
                              who == 1 || who == 3 ? "a"
                              : who == 2           ? "b"
                                                   : "",
                              who > 2 ? "t" : "");
      spec.mutable_resources()->set_cpu_milli(500 * (1 + roll(3)));
      spec.set_priority(static_cast<std::int32_t>(roll(3)));
      if (roll(4) == 0)
        x.stop(spec.name(), roll(2) == 0);
      else
        x.submit(spec);
      x.pass(2);
      for (const auto& [name, node] : x.nodes) {
        auto kept = std::map<std::string, std::uint64_t>{};
        auto all = std::uint64_t{0};
        for (const auto* each : {"a", "b"}) {
          const auto r = x.kept(each).reservation();
          for (const auto& at : r.nodes())
            if (at == name)
              kept[each] += r.resources().cpu_milli();
        }
        for (const auto& [instance, status] : node.has) {
          const auto& of = node.specs.at(instance);
          const auto tenant = x.kept("a").reservation().tenant();
          const auto& named = of.placement().reservation();
          auto need = of.resources().cpu_milli();
          const auto draw = [&](const std::string& from) {
            const auto part = std::min(need, kept[from]);
            kept[from] -= part;
            need -= part;
          };
          if (named == "b" || (named == "a" && (tenant.empty() || tenant == of.tenant())))
            draw(named);
          else if (named.empty() && !tenant.empty() && of.tenant() == tenant)
            draw("a");
          all += need;
        }
        CHECK(all + kept["a"] + kept["b"] <= node.facts.capacity().cpu_milli());
      }
    }
  }
}
