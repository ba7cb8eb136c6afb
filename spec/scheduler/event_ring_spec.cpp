#include "actors/scheduler/event_ring.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace novacron;
using namespace novacron::scheduler;

namespace {

std::vector<std::uint64_t> numbers(const v1::Events& x) {
  auto all = std::vector<std::uint64_t>{};
  for (const auto& each : x.events())
    all.push_back(each.number());
  return all;
}

constexpr auto at_index(std::uint64_t x) {
  return x << 16;
}

} // namespace

SCENARIO("a watcher goes on where it was, and learns when it cannot") {
  auto ring = event_ring{3};
  CHECK(!ring.read(0, 0).missed());
  CHECK(ring.read(at_index(9), 0).next() == at_index(9));
  CHECK(!ring.read(at_index(9), 0).missed());
  for (auto i = 0; i < 3; ++i)
    ring.add({}, 5, 1);
  const auto first = at_index(5);
  CHECK(numbers(ring.read(0, 0)) == std::vector{first, first + 1, first + 2});
  CHECK(numbers(ring.read(first, 1)) == std::vector{first + 1});
  CHECK(ring.read(first, 1).next() == first + 1);
  CHECK(!ring.read(first, 0).missed());
  THEN("what was dropped is missed by those who had not seen it") {
    ring.add({}, 6, 1);
    CHECK(ring.read(0, 0).missed());
    CHECK(!ring.read(first, 0).missed());
    ring.add({}, 6, 1);
    CHECK(ring.read(first, 0).missed());
  }
  THEN("what a former leader told may have been followed by more than this one knows") {
    const auto resumed = ring.read(at_index(4) + 7, 0);
    CHECK(resumed.missed());
    CHECK(resumed.events_size() == 3);
  }
  THEN("who comes from another fabric, or another life of this one, begins anew") {
    const auto resumed = ring.read(at_index(70), 0);
    CHECK(resumed.missed());
    CHECK(resumed.events_size() == 3);
    CHECK(resumed.next() == first + 2);
    CHECK(ring.read(resumed.next(), 0).events_size() == 0);
  }
}
