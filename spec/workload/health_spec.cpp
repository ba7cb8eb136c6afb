#include "actors/workload/health.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;
using workload::health;

namespace {
const auto dawn = instant{} + 1h;
} // namespace

SCENARIO("an instance is unhealthy after enough failures in a row") {
  auto check = health{{.failures = 3}, dawn};
  CHECK(check.now() == health::verdict::unknown);
  CHECK_FALSE(check.hear(true, dawn));
  CHECK(check.now() == health::verdict::passing);
  CHECK_FALSE(check.hear(false, dawn));
  CHECK_FALSE(check.hear(false, dawn));
  CHECK(check.now() == health::verdict::failing);
  CHECK_FALSE(check.hear(true, dawn));
  CHECK_FALSE(check.hear(false, dawn));
  CHECK_FALSE(check.hear(false, dawn));
  CHECK(check.hear(false, dawn));
}

SCENARIO("failures right after the start do not count") {
  auto check = health{{.failures = 1, .grace = 5s}, dawn};
  CHECK_FALSE(check.hear(false, dawn + 5s - 1ns));
  CHECK(check.now() == health::verdict::unknown);
  CHECK(check.hear(false, dawn + 5s));
}

SCENARIO("an HTTP answer is good from 200 to 399") {
  CHECK(workload::http_says_well("HTTP/1.1 200 OK"));
  CHECK(workload::http_says_well("HTTP/1.0 302 Found"));
  CHECK_FALSE(workload::http_says_well("HTTP/1.1 404 Not Found"));
  CHECK_FALSE(workload::http_says_well("HTTP/1.1 500"));
  CHECK_FALSE(workload::http_says_well("SSH-2.0-x 200"));
  CHECK_FALSE(workload::http_says_well(""));
}
