#include "actors/host/files.hpp"
#include "actors/workload/instance_directory.hpp"
#include "spec/reality/container_kit.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr auto container = wire::WORKLOAD_KIND_CONTAINER;
constexpr auto sandbox = wire::WORKLOAD_KIND_SANDBOX;

/// Counts in a file, and says each number once it is written down.
wire::Instance counter(const std::string& name, const fs::path& root) {
  if (!fs::exists(root / "bin/mv"))
    fs::create_symlink("busybox", root / "bin/mv");
  auto x = instance(name, "trap 'exit 0' TERM; n=$(cat /n 2>/dev/null || echo 0); echo begins; while :; do n=$((n+1)); "
                          "echo $n > /n.new; mv /n.new /n; echo $n; sleep 0.1; done");
  x.mutable_spec()->set_kind(container);
  x.mutable_spec()->set_replicas(1);
  x.mutable_spec()->mutable_restart()->set_when(wire::RESTART_WHEN_ALWAYS);
  x.mutable_spec()->mutable_resources()->set_memory_bytes(64 << 20);
  x.mutable_spec()->mutable_conversion()->set_restart(true);
  return x;
}

std::vector<long> numbers_in(const std::string& log) {
  auto all = std::vector<long>{};
  auto lines = std::istringstream{log};
  for (auto line = std::string{}; std::getline(lines, line);)
    if (!line.empty() && line.find_first_not_of("0123456789") == line.npos)
      all.push_back(std::stol(line));
  return all;
}

long last_in(const std::string& log) {
  const auto all = numbers_in(log);
  return all.empty() ? 0 : all.back();
}

/// One that was said twice or never; 0 for none. A number may be written down and not said when it is frozen between
/// the two, so one may be missing at each change.
std::string wrong_in(const std::string& log, int changes) {
  auto missing = 0l;
  auto before = 0l;
  for (const auto each : numbers_in(log)) {
    if (each <= before)
      return std::to_string(each) + " was said again after " + std::to_string(before);
    missing += each - before - 1;
    before = each;
  }
  return missing <= changes ? "" : std::to_string(missing) + " numbers are missing";
}

wire::ConvertInstance becomes(const std::string& name, wire::WorkloadKind to, bool only_check = false) {
  auto x = wire::ConvertInstance{};
  x.set_instance(name);
  x.set_to(to);
  x.set_only_check(only_check);
  return x;
}

/// Where it runs: the directories whose first process is there.
std::vector<std::string> formats(const fs::path& data, const std::string& name) {
  auto all = std::vector<std::string>{};
  for (const auto* each : {"instances", "machines"}) {
    const auto process = workload::instance_directory{data / each / name}.container();
    if (const auto fd = process ? workload::open_process(*process) : std::nullopt) {
      ::close(*fd);
      all.emplace_back(each);
    }
  }
  return all;
}

/// The fault of an order that is to be refused.
std::string refused(site& here, const wire::ConvertInstance& order) {
  auto why = std::string{};
  (*here.self)
      ->request(here.agent, 60s, order)
      .receive([&](const wire::Converted&) { why = "done"; }, [&](const caf::error& e) { why = explain(e).text; });
  return why;
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a container becomes a sandbox and a container again, with its files and its log") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  const auto x = counter("turn.0", here.place.root());
  here.assign({x});
  here.await("turn.0", wire::PHASE_RUNNING);
  REQUIRE(eventually([&] { return last_in(here.log("turn.0")) >= 5; }));
  here.exec("turn.0", {"sh", "-c", "echo kept > /kept; rm /www/index.html"});
  // It says what would happen, and nothing does.
  const auto checked = here.ask<wire::Converted>(becomes("turn.0", sandbox, true));
  CHECK(checked.only_checked());
  CHECK(checked.lost_size() > 0);
  CHECK(formats(here.place.data(), "turn.0") == std::vector<std::string>{"instances"});
  auto took = here.ask<wire::Converted>(becomes("turn.0", sandbox));
  MESSAGE("container -> sandbox stood still for " << took.frozen_ms() << " ms");
  CHECK(took.frozen_ms() > 0);
  CHECK_FALSE(took.state_preserved());
  CHECK(formats(here.place.data(), "turn.0") == std::vector<std::string>{"machines"});
  CHECK_FALSE(fs::exists(here.place.data() / "instances/turn.0"));
  CHECK(here.status("turn.0").kind() == sandbox);
  CHECK(here.status("turn.0").restarts() == 0);
  const auto first = last_in(here.log("turn.0"));
  CHECK(eventually([&] { return last_in(here.log("turn.0")) > first + 3; }, 120s));
  CHECK(here.exec("turn.0", {"sh", "-c", "cat /kept; [ -e /www/index.html ] || echo gone"}).first == "kept\ngone\n");
  // The ledger follows: another generation that says the same is no reason to start anything again.
  auto next = x;
  next.set_generation(x.generation() + 1);
  next.mutable_spec()->set_kind(sandbox);
  here.assign({next});
  here.await("turn.0", [&](const auto& now) {
    return now.generation() == next.generation() && now.kind() == wire::WORKLOAD_KIND_UNSPECIFIED;
  });
  here.exec("turn.0", {"sh", "-c", "echo more > /more"});
  took = here.ask<wire::Converted>(becomes("turn.0", container));
  MESSAGE("sandbox -> container stood still for " << took.frozen_ms() << " ms");
  CHECK(formats(here.place.data(), "turn.0") == std::vector<std::string>{"instances"});
  const auto second = last_in(here.log("turn.0"));
  CHECK(eventually([&] { return last_in(here.log("turn.0")) > second + 3; }));
  CHECK(here.exec("turn.0", {"sh", "-c", "cat /kept /more; [ -e /www/index.html ] || echo gone"}).first ==
        "kept\nmore\ngone\n");
  const auto log = here.log("turn.0");
  CHECK(wrong_in(log, 2) == "");
  // What it became outlives the node's process.
  here.end();
  here.begin();
  here.assign({next});
  here.await("turn.0", wire::PHASE_RUNNING);
  CHECK(formats(here.place.data(), "turn.0") == std::vector<std::string>{"instances"});
  CHECK(here.exec("turn.0", {"cat", "/kept"}).first == "kept\n");
}

SCENARIO("what cannot be converted runs on as it did") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  auto x = counter("stay.0", here.place.root());
  x.mutable_spec()->mutable_program()->set_user("1000:1000");
  auto shy = x;
  shy.set_name("shy.0");
  shy.mutable_spec()->clear_conversion();
  auto outside = x;
  outside.set_name("outside.0");
  outside.mutable_spec()->mutable_network()->set_mode("host");
  here.assign({x, shy, outside});
  here.await("stay.0", wire::PHASE_RUNNING);
  for (const auto* name : {"shy.0", "outside.0"})
    here.await(name, wire::PHASE_RUNNING);
  CHECK(refused(here, becomes("stay.0", container)).find("already") != std::string::npos);
  CHECK(refused(here, becomes("stay.0", wire::WORKLOAD_KIND_BATCH)).find("it can become") != std::string::npos);
  CHECK(refused(here, becomes("shy.0", sandbox)).find("conversion = { restart = true }") != std::string::npos);
  // What has the host's network is told so by the check and by the command itself.
  for (const auto check : {true, false}) {
    CHECK(refused(here, becomes("outside.0", sandbox, check)).find("a network of its own") != std::string::npos);
  }
  CHECK(formats(here.place.data(), "outside.0") == std::vector<std::string>{"instances"});
  CHECK(here.status("outside.0").phase() == wire::PHASE_RUNNING);
  // Its new format has no init: refused by what would run it, before anything stands still.
  const auto before = here.status("stay.0");
  REQUIRE(before.phase() == wire::PHASE_RUNNING);
  // The disk of a sandbox cannot be made: what should be a file is a directory.
  const auto tools = here.place.top / "tools";
  fs::create_directories(tools);
  fs::create_symlink("/bin/false", tools / "mke2fs");
  const auto path = std::string{::getenv("PATH")};
  ::setenv("PATH", (tools.string() + ":" + path).c_str(), 1);
  const auto why = refused(here, becomes("stay.0", sandbox));
  ::setenv("PATH", path.c_str(), 1);
  CHECK(why.find("mke2fs") != std::string::npos);
  CHECK(formats(here.place.data(), "stay.0") == std::vector<std::string>{"instances"});
  CHECK_FALSE(fs::exists(here.place.data() / "machines/stay.0"));
  const auto after = here.status("stay.0");
  CHECK(after.phase() == wire::PHASE_RUNNING);
  CHECK(after.restarts() == 0);
  CHECK(after.reason().find("runs on") != std::string::npos);
  CHECK(after.started_ms() == before.started_ms());
}

SCENARIO("a node that is killed while something becomes a sandbox has exactly one of it afterwards") {
  if (!can_run_machines())
    return;
  auto place = ground{};
  const auto x = counter("once.0", place.root());
  auto node = agent_process{place};
  const auto runs = [&] { return node.status("once.0").phase() == wire::PHASE_RUNNING; };
  const auto log = [&](const std::string& format) {
    return host::read_file(place.data() / format / "once.0/log/0").value_or("");
  };
  const auto said = [&] { return std::max(last_in(log("instances")), last_in(log("machines"))); };
  node.start({x});
  REQUIRE(eventually([&] { return runs() && said() > 3; }, 240s));
  const auto is = [&](const char* format) {
    return formats(place.data(), "once.0") == std::vector<std::string>{format} && runs();
  };
  // How long it takes to become a sandbox when its template is there, which the first time is not.
  auto whole = std::chrono::milliseconds{0};
  for (const auto to : {'s', 'c', 's', 'c'}) {
    const auto begin = std::chrono::steady_clock::now();
    // What is just about to be done with the change before refuses the next one.
    for (auto asked = 0; asked < 480 && !is(to == 's' ? "machines" : "instances"); ++asked) {
      node.convert(to);
      std::this_thread::sleep_for(500ms);
    }
    REQUIRE(is(to == 's' ? "machines" : "instances"));
    if (to == 's')
      whole = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  }
  auto to_machine = 0;
  auto back = 0;
  auto in_machine = false;
  constexpr auto kills = 16;
  for (auto i = 0; i < kills; ++i) {
    const auto delay = whole * i * 3 / (2 * kills);
    CAPTURE(delay.count());
    node.convert(in_machine ? 'c' : 's');
    std::this_thread::sleep_for(delay);
    node.kill();
    const auto before = said();
    node.start({x});
    REQUIRE(
        eventually([&] { return runs() && formats(place.data(), "once.0").size() == 1 && said() > before + 2; }, 240s));
    std::this_thread::sleep_for(500ms);
    const auto now = formats(place.data(), "once.0");
    REQUIRE(now.size() == 1);
    (now.front() == "machines" ? to_machine : back) += 1;
    in_machine = now.front() == "machines";
    CHECK(fs::exists(place.data() / now.front() / "once.0/instance.pb"));
    CHECK_FALSE(fs::exists(place.data() / (in_machine ? "instances" : "machines") / "once.0"));
  }
  MESSAGE("a change takes " << whole.count() << " ms; ended as a sandbox " << to_machine << " times, as a container "
                            << back << " times");
}
