#include "actors/scheduler/outbox.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <variant>

using namespace novacron;
using namespace novacron::scheduler;

namespace {

const auto dawn = instant{};

wire::Assign entire(std::uint64_t revision, int instances = 1) {
  auto x = wire::Assign{};
  x.set_node("edge-1");
  x.set_revision(revision);
  for (auto i = 0; i < instances; ++i)
    x.add_instances()->set_name(std::string(200, 'a'));
  return x;
}

wire::AssignChange change(std::uint64_t base, std::uint64_t revision) {
  auto x = wire::AssignChange{};
  x.set_node("edge-1");
  x.set_base(base);
  x.set_revision(revision);
  return x;
}

std::uint64_t revision_of(const outbox::parcel& x) {
  return std::visit([](const auto& each) { return each.revision(); }, x.what);
}

} // namespace

SCENARIO("of each node one message is on its way at a time, and what comes meanwhile follows it") {
  auto box = outbox{};
  CHECK_FALSE(box.take("edge-1", dawn));
  REQUIRE(box.put(entire(4)));
  const auto first = box.take("edge-1", dawn);
  REQUIRE(first);
  CHECK_FALSE(box.take("edge-1", dawn));
  REQUIRE(box.put(entire(6)));
  CHECK_FALSE(box.take("edge-1", dawn));
  const auto half = box.done("edge-1", first->number);
  CHECK(half.more);
  CHECK_FALSE(half.delivered);
  const auto second = box.take("edge-1", dawn);
  REQUIRE(second);
  CHECK(revision_of(*second) == 6);
  // An answer to the first says nothing of the second, even if it comes twice.
  CHECK_FALSE(box.done("edge-1", first->number).more);
  const auto end = box.done("edge-1", second->number);
  CHECK(end.delivered == 6);
  CHECK_FALSE(box.take("edge-1", dawn));
}

SCENARIO("what is longer than a message goes out in parts") {
  auto box = outbox{500};
  REQUIRE(box.put(entire(4, 5)));
  for (auto part = 0u; part < 3; ++part) {
    const auto now = box.take("edge-1", dawn);
    REQUIRE(now);
    CHECK(std::get<wire::Assign>(now->what).parts() == 3);
    CHECK(std::get<wire::Assign>(now->what).part() == part);
    const auto answer = box.done("edge-1", now->number);
    CHECK(answer.more == (part < 2));
    CHECK(answer.delivered.has_value() == (part == 2));
  }
  auto long_one = change(4, 5);
  for (auto i = 0; i < 5; ++i)
    long_one.add_gone(std::string(200, 'a'));
  CHECK_FALSE(box.put(long_one));
}

SCENARIO("what was not answered is never sent again: it is made anew after a pause") {
  auto box = outbox{500};
  REQUIRE(box.put(entire(4, 5)));
  auto now = box.take("edge-1", dawn);
  REQUIRE(box.done("edge-1", now->number).more);
  now = box.take("edge-1", dawn);
  REQUIRE(box.put(entire(5)));
  CHECK(box.failed("edge-1", now->number) == 1);
  // The answer comes after all, or the failure a second time.
  CHECK_FALSE(box.done("edge-1", now->number).delivered);
  CHECK(box.failed("edge-1", now->number) == 0);
  CHECK_FALSE(box.take("edge-1", dawn));
  CHECK(box.resume("edge-1"));
  REQUIRE(box.put(entire(6)));
  now = box.take("edge-1", dawn);
  REQUIRE(now);
  CHECK(revision_of(*now) == 6);
  CHECK(box.failed("edge-1", now->number) == 2);
  // What is made in the meantime, because the node came back, waits for no pause, and there is one pause at a time.
  REQUIRE(box.put(entire(7)));
  now = box.take("edge-1", dawn);
  REQUIRE(now);
  CHECK(box.failed("edge-1", now->number) == 0);
  REQUIRE(box.put(entire(8)));
  CHECK_FALSE(box.resume("edge-1"));
  CHECK(box.postpone("edge-1") == 4);
  CHECK(box.postpone("edge-1") == 0);
  CHECK(box.resume("edge-1"));
  REQUIRE(box.put(entire(9)));
  now = box.take("edge-1", dawn);
  CHECK(box.postpone("edge-1") == 0);
  CHECK(box.done("edge-1", now->number).delivered == 9);
  // Nothing is left of it, its failures neither.
  CHECK(box.postpone("edge-1") == 0);
  CHECK_FALSE(box.resume("edge-1"));
  REQUIRE(box.put(entire(10)));
  CHECK(box.failed("edge-1", box.take("edge-1", dawn)->number) == 1);
}

SCENARIO("a change of what the node does not have is given up") {
  auto box = outbox{};
  REQUIRE(box.put(change(3, 4)));
  const auto now = box.take("edge-1", dawn);
  REQUIRE(now);
  CHECK_FALSE(box.astray("edge-1", now->number + 1));
  CHECK(box.astray("edge-1", now->number));
  CHECK_FALSE(box.astray("edge-1", now->number));
  CHECK_FALSE(box.take("edge-1", dawn));
  REQUIRE(box.put(entire(5)));
  CHECK(box.drop("edge-1"));
  CHECK_FALSE(box.drop("edge-1"));
  CHECK_FALSE(box.take("edge-1", dawn));
}

SCENARIO("so many nodes are waited for at a time, the others in their turn, and the silent ones hold nobody up") {
  using namespace std::chrono_literals;
  auto box = outbox{1 << 20, 2, 1s};
  const auto to = [](const std::string& node, std::uint64_t revision) {
    auto x = entire(revision);
    x.set_node(node);
    return x;
  };
  for (const auto* node : {"a", "b", "c", "d", "e"})
    REQUIRE(box.put(to(node, 4)));
  const auto a = box.take("a", dawn);
  const auto b = box.take("b", dawn + 1ms);
  REQUIRE(a);
  REQUIRE(b);
  for (const auto* node : {"c", "d", "c", "e"})
    CHECK_FALSE(box.take(node, dawn + 2ms));
  CHECK_FALSE(box.next(dawn + 2ms));
  CHECK(box.wake() == dawn + 1s);
  // What is newer takes the place of what waits; who is given up is passed over.
  REQUIRE(box.put(to("c", 5)));
  CHECK(box.drop("d"));
  CHECK(box.done("a", a->number).delivered == 4);
  CHECK(box.next(dawn + 3ms) == "c");
  const auto c = box.take("c", dawn + 3ms);
  REQUIRE(c);
  CHECK(revision_of(*c) == 5);
  CHECK_FALSE(box.next(dawn + 1s));
  CHECK(box.wake() == dawn + 1s + 1ms);
  // One that says nothing for a second counts no more, though its answer is still taken.
  CHECK(box.next(dawn + 1s + 1ms) == "e");
  REQUIRE(box.take("e", dawn + 1s + 1ms));
  CHECK_FALSE(box.wake());
  CHECK(box.done("b", b->number).delivered == 4);
  // Failing makes room as well, and so does giving up.
  REQUIRE(box.put(to("f", 4)));
  CHECK_FALSE(box.take("f", dawn + 1s + 2ms));
  CHECK(box.failed("c", c->number) == 1);
  CHECK(box.next(dawn + 1s + 2ms) == "f");
  REQUIRE(box.take("f", dawn + 1s + 2ms));
  REQUIRE(box.put(to("g", 4)));
  CHECK_FALSE(box.take("g", dawn + 1s + 2ms));
  CHECK(box.drop("e"));
  CHECK(box.next(dawn + 1s + 2ms) == "g");
  box.clear();
  CHECK_FALSE(box.wake());
}
