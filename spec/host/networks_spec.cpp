#include "actors/host/networks.hpp"

#include <doctest/doctest.h>

using namespace novacron::host;

SCENARIO("addresses are given out from the lowest, and again when they come back") {
  auto range = address_range{parse_ipv4("10.64.4.0", 22).value()};
  CHECK(to_string(range.gateway()) == "10.64.4.1");
  const auto first = range.take();
  CHECK(to_string(*first) == "10.64.4.2");
  CHECK(to_string(*range.take()) == "10.64.4.3");
  range.give_back(*first);
  CHECK(range.take() == first);
  CHECK_FALSE(range.take(*first));
  CHECK_FALSE(range.take(parse_ipv4("10.64.8.5", 22).value()));
  for (auto i = 0; i < 1019; ++i)
    CHECK(range.take());
  CHECK_FALSE(range.take());
}

SCENARIO("a node's range is its own: not one that is in use on the machine") {
  const auto free = address_range::choose(3, {});
  CHECK(to_string(free) == "10.64.12.0");
  const auto next = address_range::choose(3, {parse_ipv4("10.64.12.9", 22).value()});
  CHECK(to_string(next) == "10.64.16.0");
  CHECK(to_string(address_range::choose(3, {parse_ipv4("10.64.15.1", 24).value()})) == "10.64.16.0");
}
