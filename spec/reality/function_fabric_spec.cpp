/// What a whole fabric promises about functions: over HTTP, from none to many and back, through kills and updates.

#include "spec/reality/fabric_fixture.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;
using json = nlohmann::json;
using monotonic = std::chrono::steady_clock;

namespace {

bool cannot_run(const char* what) {
  const auto lacking = spec::live_fabric::lacking();
  if (!lacking.empty())
    spec::skip(what, lacking);
  return !lacking.empty();
}

/// A function whose handler is `script`, with `rules`.
void submit(spec::live_fabric& fabric, const std::string& name, const std::string& script, json rules) {
  fabric.run(name, {"/bin/sh", "-c", script},
             {{"kind", "WORKLOAD_KIND_FUNCTION"},
              {"replicas", nullptr},
              {"resources", {{"cpu_milli", 500}}},
              {"network", {{"mode", "none"}}},
              {"function", std::move(rules)}});
}

shell::http_reply invoke(shell::client& from, const std::string& name, const std::string& body) {
  return from.send("POST", "/v1/functions/" + name + ":invoke", body, 40s);
}
shell::http_reply invoke(spec::live_fabric& fabric, const std::string& name, const std::string& body) {
  auto client = fabric.ask();
  return invoke(client, name, body);
}

std::size_t instances(spec::live_fabric& fabric, const std::string& name) {
  auto count = std::size_t{0};
  for (const auto& [instance, nodes] : fabric.running())
    count += instance.starts_with(name + ".") ? nodes.size() : 0;
  return count;
}

} // namespace

SCENARIO("a function starts when it is called, answers within milliseconds while it is, and goes when it is not") {
  if (cannot_run("functions over HTTP"))
    return;
  auto fabric = spec::live_fabric{{{"cloud-1", "cloud"}, {"edge-1", "edge"}}};
  REQUIRE(fabric.start_all());
  fabric.bring_image();
  submit(fabric, "echo", "exec busybox cat", {{"keep_alive_ms", 3000}, {"timeout_ms", 2000}});
  CHECK(instances(fabric, "echo") == 0);
  auto client = fabric.ask();
  const auto begin = monotonic::now();
  const auto cold = invoke(client, "echo", "hello");
  CHECK(cold.status == 200);
  CHECK(cold.body == "hello");
  MESSAGE("cold: " << spec::seconds_since(begin) << " s");
  auto took = std::vector<double>{};
  for (auto i = 0; i < 100; ++i) {
    const auto at = monotonic::now();
    const auto warm = invoke(client, "echo", std::to_string(i));
    took.push_back(spec::seconds_since(at));
    REQUIRE(warm.status == 200);
    CHECK(warm.body == std::to_string(i));
  }
  std::ranges::sort(took);
  MESSAGE("warm: p50 " << took[50] * 1000 << " ms, p99 " << took[99] * 1000 << " ms");
  if (spec::is_fast_build)
    CHECK(took[10] < 0.005);
  const auto shown = json::parse(client.get("/v1/functions/echo"));
  CHECK(shown.at("answered") == "101");
  CHECK(shown.at("cold") == "1");
  CHECK(fabric.metric("cloud-1", "novacron_function_calls_total{result=\"answered\"}") == 101);
  CHECK(spec::eventually([&] { return instances(fabric, "echo") == 0; }, 20s));
  CHECK(invoke(client, "echo", "again").body == "again");
  // Whoever submits it again changes nothing of how many there are.
  submit(fabric, "echo", "exec busybox cat", {{"keep_alive_ms", 3000}, {"timeout_ms", 2000}});
  CHECK(instances(fabric, "echo") == 1);

  submit(fabric, "moody", "read x; case $x in fail) exit 3;; late) sleep 100;; *) echo $x;; esac",
         {{"timeout_ms", 1000}});
  CHECK(invoke(client, "moody", "well\n").body == "well\n");
  const auto failed = invoke(client, "moody", "fail\n");
  CHECK(failed.status == 502);
  CHECK(json::parse(failed.body).at("detail") == "the handler ended with exit code 3");
  CHECK(invoke(client, "moody", "late\n").status == 504);
  CHECK(invoke(client, "nobody", "").status == 404);
  CHECK(invoke(client, "moody", std::string((512 << 10) + 1, 'x')).status == 413);
  client.order("POST", "/v1/workloads/moody:stop");
  CHECK(invoke(client, "moody", "x\n").status == 409);
  // A message calls it as well.
  const auto asked =
      json::parse(client.post("/v1/actors/cloud-1/functions:ask",
                              json{{"message", "Invoke"}, {"json", R"({"function":"echo","body":"aGk="})"}}.dump()));
  CHECK(json::parse(asked.at("json").get<std::string>()).at("body") == "aGk=");
}

SCENARIO("many calls at once have instances started, beyond which they wait, and beyond which they are refused") {
  if (cannot_run("functions under load"))
    return;
  auto fabric = spec::live_fabric{{{"cloud-1", "cloud"}, {"edge-1", "edge"}, {"edge-2", "edge"}}};
  REQUIRE(fabric.start_all());
  fabric.bring_image();
  submit(fabric, "slow", "sleep 1; exec busybox cat",
         {{"instances_max", 3}, {"waiting_max", 6}, {"keep_alive_ms", 3000}});
  auto good = std::atomic{0}, refused = std::atomic{0}, other = std::atomic{0};
  auto callers = std::vector<std::thread>{};
  for (auto i = 0; i < 14; ++i)
    callers.emplace_back([&, i] {
      const auto answer = invoke(fabric, "slow", std::to_string(i));
      const auto well = answer.status == 200 && answer.body == std::to_string(i);
      ++(well ? good : answer.status == 429 ? refused : other);
    });
  CHECK(spec::eventually([&] { return instances(fabric, "slow") == 3; }, 20s));
  for (auto& each : callers)
    each.join();
  CHECK(other.load() == 0);
  CHECK(good.load() >= 6);
  CHECK(refused.load() >= 1);
  CHECK(good + refused == 14);
  CHECK(spec::eventually([&] { return instances(fabric, "slow") == 0; }, 20s));
}

SCENARIO("a node that is killed costs the calls that it had, and an update costs none") {
  if (cannot_run("functions through kills and updates"))
    return;
  auto fabric = spec::live_fabric{{{"cloud-1", "cloud"}, {"edge-1", "edge"}}};
  REQUIRE(fabric.start_all());
  fabric.bring_image();
  submit(fabric, "count", "sleep 0.05; echo one", {{"keep_alive_ms", 60'000}, {"instances_min", 2}});
  REQUIRE(spec::eventually([&] { return instances(fabric, "count") == 2; }, 20s));
  auto over = std::atomic{false};
  auto answers = std::atomic{0}, updated = std::atomic{0}, lost = std::atomic{0};
  auto caller = std::thread{[&] {
    auto client = fabric.ask();
    while (!over) {
      const auto answer = invoke(client, "count", "");
      ++(answer.status != 200 ? lost : answer.body == "two\n" ? updated : answers);
    }
  }};
  CHECK(spec::eventually([&] { return answers > 10; }, 20s));
  submit(fabric, "count", "sleep 0.05; echo two", {{"keep_alive_ms", 60'000}, {"instances_min", 2}});
  CHECK(spec::eventually([&] { return updated > 10; }, 30s));
  CHECK(lost.load() == 0);
  fabric.processes().signal("edge-1", SIGKILL);
  REQUIRE(spec::eventually([&] { return !fabric.processes().take_ended().empty(); }, 5s));
  fabric.processes().start("edge-1");
  const auto before = updated.load();
  CHECK(spec::eventually([&] { return updated > before + 10; }, 40s));
  over = true;
  caller.join();
  // The one that was under way, and those that came before anybody had noticed.
  CHECK(lost.load() <= 5);
  MESSAGE(answers.load() << " answers, " << updated.load() << " after the update, " << lost.load()
                         << " lost to the kill");
  CHECK(instances(fabric, "count") == 2);
}
