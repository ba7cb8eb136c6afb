#include "actors/workload/restart_policy.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;
using workload::restart_policy;

SCENARIO("what ends is started again, ever later up to a limit") {
  auto policy = restart_policy{{.delay = 100ms, .delay_max = 500ms}};
  for (const auto delay : {100ms, 200ms, 400ms, 500ms, 500ms})
    CHECK(policy.ended(0, 1s) == delay);
  CHECK(policy.restarts() == 5);
}

SCENARIO("a long run makes the delay short again") {
  auto policy = restart_policy{{.delay = 100ms, .calm = 10min}};
  policy.ended(1, 0s);
  CHECK(policy.ended(1, 10min - 1ns) == 200ms);
  CHECK(policy.ended(1, 10min) == 100ms);
}

SCENARIO("the rules say what is started again") {
  CHECK_FALSE(restart_policy{{.restart = restart_policy::when::never}}.ended(1, 0s));
  auto on_failure = restart_policy{{.restart = restart_policy::when::on_failure}};
  CHECK(on_failure.ended(1, 0s));
  CHECK_FALSE(on_failure.ended(0, 0s));
}

SCENARIO("the number of restarts has a limit, also across lives of the agent") {
  auto policy = restart_policy{{.limit = 2}};
  CHECK(policy.ended(1, 0s));
  CHECK(policy.ended(1, 0s));
  CHECK_FALSE(policy.ended(1, 0s));
  CHECK_FALSE(restart_policy{{.limit = 2}, 2}.ended(1, 0s));
}

SCENARIO("a first delay above the longest is the longest") {
  CHECK(restart_policy{{.delay = 1min, .delay_max = 1s}}.ended(1, 0s) == 1s);
}
