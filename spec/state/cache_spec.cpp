#include "actors/state/cache.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;

namespace {
const auto dawn = instant{} + 1h;
}

SCENARIO("a cached value is as old as the ledger index it came from") {
  auto here = cache::embedded{{}};
  CHECK_FALSE(here.get("k", 0, dawn).what);
  here.put("k", {"five", 5}, 0s, dawn);
  CHECK(here.get("k", 5, dawn).what->value == "five");
  CHECK(here.get("k", 6, dawn).stale);
  CHECK_FALSE(here.get("k", 6, dawn).what);
  THEN("a newer one replaces it, an older one does not") {
    here.put("k", {"seven", 7}, 0s, dawn);
    here.put("k", {"six", 6}, 0s, dawn);
    CHECK(here.get("k", 6, dawn).what->value == "seven");
  }
  THEN("it may have an end") {
    here.put("k", {"short", 6}, 10s, dawn);
    CHECK(here.get("k", 0, dawn + 10s - 1ns).what);
    CHECK_FALSE(here.get("k", 0, dawn + 10s).what);
    CHECK(here.bytes() == 0);
  }
  THEN("it can be dropped") {
    here.erase("k");
    here.erase("k");
    CHECK(here.size() == 0);
    CHECK(here.bytes() == 0);
  }
}

SCENARIO("a cache stays within its bytes and keeps what was used last") {
  auto here = cache::embedded{{.bytes_max = 10'000}};
  for (auto i = 0; i < 8; ++i)
    here.put("key" + std::to_string(i), {std::string(1'000, 'x'), 1}, 0s, dawn);
  CHECK(here.size() == 8);
  CHECK(here.get("key0", 0, dawn).what);
  here.put("more", {std::string(1'000, 'x'), 1}, 0s, dawn);
  CHECK(here.get("key0", 0, dawn).what);
  CHECK_FALSE(here.get("key1", 0, dawn).what);
  CHECK(here.bytes() <= 10'000);
  THEN("what is larger than all of it is not kept") {
    here.put("huge", {std::string(10'000, 'x'), 1}, 0s, dawn);
    CHECK_FALSE(here.get("huge", 0, dawn).what);
    CHECK(here.size() == 8);
  }
}
