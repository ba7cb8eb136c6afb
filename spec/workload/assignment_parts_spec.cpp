#include "actors/workload/assignment_parts.hpp"

#include "actors/scheduler/orders.hpp"
#include "messages/vocabulary.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using workload::assignment_parts;

namespace wire = novacron::v1;

namespace {

wire::Assign assignment(int count, std::size_t image_bytes) {
  auto x = wire::Assign{};
  x.set_node("n");
  x.set_revision(7);
  x.set_controller("cloud-1");
  for (auto i = 0; i < count; ++i) {
    auto& each = *x.add_instances();
    each.set_name("web." + std::to_string(i));
    each.mutable_spec()->mutable_program()->set_image(std::string(image_bytes, 'x'));
  }
  return x;
}

} // namespace

SCENARIO("an assignment is split so that no part is larger than a message may be, and put together again") {
  CHECK(scheduler::parts_of(assignment(10, 10), 1000).size() == 1);
  CHECK(scheduler::parts_of(assignment(10, 10), 1000).front().parts() == 0);
  const auto whole = assignment(100, 60'000);
  const auto parts = scheduler::parts_of(whole, message_bytes_max / 2);
  REQUIRE(parts.size() > 10);
  auto here = assignment_parts{};
  for (auto i = std::size_t{0}; i < parts.size(); ++i) {
    CHECK(parts[i].ByteSizeLong() < message_bytes_max);
    const auto step = here.take(parts[i]);
    CHECK_FALSE(step.astray);
    REQUIRE(step.whole.has_value() == (i + 1 == parts.size()));
    if (step.whole)
      CHECK(step.whole->SerializeAsString() == whole.SerializeAsString());
  }
}

SCENARIO("parts come twice, or begin again, or from somebody else in between") {
  auto here = assignment_parts{};
  const auto parts = scheduler::parts_of(assignment(3, 100), 100);
  REQUIRE(parts.size() == 3);
  CHECK(here.take(parts[1]).astray);
  CHECK_FALSE(here.take(parts[0]).astray);
  CHECK(here.take(parts[2]).astray);
  CHECK_FALSE(here.take(parts[1]).astray);
  CHECK_FALSE(here.take(parts[1]).astray);
  auto other = parts[2];
  other.set_revision(8);
  CHECK(here.take(other).astray);
  other = parts[2];
  other.set_controller("cloud-2");
  CHECK(here.take(other).astray);
  CHECK_FALSE(here.take(parts[0]).astray);
  CHECK_FALSE(here.take(parts[1]).astray);
  const auto last = here.take(parts[2]);
  REQUIRE(last.whole);
  CHECK(last.whole->instances_size() == 3);
  CHECK(here.take(parts[2]).astray);
  auto beyond = parts[0];
  beyond.set_part(3);
  CHECK(here.take(beyond).astray);
}
