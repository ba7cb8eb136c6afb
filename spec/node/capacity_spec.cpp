#include "actors/node/capacity.hpp"

#include <doctest/doctest.h>

using namespace novacron;

SCENARIO("a node offers what its host has, unless it is told otherwise") {
  const auto found = node::find_capacity("/no/such/directory/yet");
  CHECK(found.cpu_milli() > 0);
  CHECK(found.memory_bytes() > 1 << 20);
  CHECK(found.disk_bytes() > 0);
  auto said = node::resource_settings{};
  said.cpu_milli = 500;
  said.gpu_milli = 2000;
  said.gpu_model = "a100";
  said.extra["fpga"] = 1;
  const auto offered = node::capacity(said, found);
  CHECK(offered.cpu_milli() == 500);
  CHECK(offered.memory_bytes() == found.memory_bytes());
  CHECK(offered.gpu_milli() == 2000);
  CHECK(offered.gpu_model() == "a100");
  CHECK(offered.extra().at("fpga") == 1);
}
