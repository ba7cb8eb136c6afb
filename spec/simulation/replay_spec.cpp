#include "actors/host/log.hpp"
#include "actors/simulation/replay.hpp"
#include "actors/simulation/scenario.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>

using namespace novacron;
using namespace novacron::simulation;
using namespace std::chrono_literals;

namespace {

constexpr auto pods_text =
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"
    "scheduled_time\n"
    "late,1000,64,0,0,,LS,Running,600,1200,600\n"
    "early,2000,128,2,1000,T4|G2,LS,Running,0,900,0\n"
    "blink,1000,64,1,500,,LS,Failed,100,100,\n"
    "timeless,1000,64,0,0\n";

} // namespace

SCENARIO("jobs of a trace come in the order of their times, and ask for what they asked for") {
  const auto pods = scheduler::parse_trace_pods(pods_text);
  const auto jobs = jobs_of(pods, {});
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[0].spec.name() == "early");
  CHECK(jobs[0].begin == 0s);
  CHECK(jobs[0].length == 900s);
  CHECK(jobs[0].spec.resources().cpu_milli() == 2000);
  CHECK(jobs[0].spec.resources().memory_bytes() == 128ull << 20);
  CHECK(jobs[0].spec.resources().gpu_milli() == 2000);
  CHECK(jobs[0].spec.resources().gpu_model() == "T4|G2");
  CHECK(jobs[1].spec.resources().gpu_milli() == 500);
  CHECK(jobs[1].length == 1s);
  CHECK(jobs[2].begin == 600s);
  WHEN("it is played faster, times and lengths shrink") {
    const auto fast = jobs_of(pods, {.speed = 10});
    CHECK(fast[2].begin == 60s);
    CHECK(fast[2].length == 60s);
  }
  WHEN("it begins later, what is over is left out, and what is there comes at once for the rest of its time") {
    const auto rest = jobs_of(pods, {.from = 300s});
    REQUIRE(rest.size() == 2);
    CHECK(rest[0].spec.name() == "early");
    CHECK(rest[0].begin == 0s);
    CHECK(rest[0].length == 600s);
    CHECK(rest[1].begin == 300s);
    CHECK(jobs_of(pods, {.from = 900s}).size() == 1);
    CHECK(jobs_of(pods, {.from = 899s}).size() == 2);
  }
  WHEN("only some are wanted, they are the first") {
    REQUIRE(jobs_of(pods, {.limit = 1}).size() == 1);
    CHECK(jobs_of(pods, {.limit = 1})[0].spec.name() == "early");
  }
}

SCENARIO("jobs of a trace run for their time, and leave their room and the ledger") {
  host::set_log_level(host::level::off);
  const auto files = [](const std::string& name) -> std::optional<std::string> {
    if (name == "pods.csv")
      return pods_text;
    if (name == "nodes.csv")
      return "sn,cpu_milli,memory_mib,gpu,model\nbig,2000,8192,2,G2\n";
    return {};
  };
  // One host with room for two: the job that comes third waits for the first to end.
  const auto read = read_scenario(R"(
world {
  [[hosts]]
  name = "cloud"
  role = "cloud"
  [[hosts]]
  trace = "nodes.csv"
}
until nodes.ready == 2 within 1m
replay pods.csv
expect jobs.coming == 3
advance 5s
expect jobs.coming == 2 and jobs.came == 1 and jobs.running == 1
expect reserved.cpu == 1
advance 4m
expect jobs.came == 2 and jobs.waiting == 1
advance 8m
expect jobs.came == 3 and jobs.waiting == 2 and jobs.running == 1
until jobs.done == 1 within 4m
until jobs.running == 1 and jobs.waiting == 0 within 1m
until jobs.done == 3 within 12m
advance 2m
expect workloads.count == 0 and jobs.came == 3 and jobs.coming == 0
expect reserved.cpu == 0
expect workloads.failed == 0
expect lost == 0
)",
                                  "x.nova", files);
  for (const auto& wrong : read.errors)
    FAIL_CHECK(wrong);
  const auto seen = player{read.what, {}}.play();
  for (const auto& x : seen.violations)
    FAIL_CHECK(x.text);
  CHECK(seen.orders == 6);
  CHECK(seen.acknowledged == 6);
}
