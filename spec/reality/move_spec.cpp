/// What a whole fabric promises about moving what runs: memory and disk go along, and it runs once, whatever breaks.

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"
#include "actors/migration/write_tracker.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/machine_files.hpp"
#include "spec/reality/fabric_fixture.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;
using json = nlohmann::json;
namespace fs = std::filesystem;

namespace {

bool cannot_move(const char* what) {
  auto lacking = spec::live_fabric::lacking();
  if (lacking.empty() && !workload::find_guest_kernel({}))
    lacking = "there is no kernel for guests (share/guest/prepare build-guest)";
  if (lacking.empty())
    lacking = migration::tracking_lack();
  if (!lacking.empty())
    spec::skip(what, lacking);
  return !lacking.empty();
}

/// A fabric with a virtual machine that counts aloud, and writes down on its disk what it has counted.
class stage {
public:
  stage() {
    REQUIRE(fabric.start_all());
    fabric.bring_image();
    fabric.run("vm",
               {"/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo tick $i; echo $i >> /trace; sleep 0.05; done"},
               {{"kind", "WORKLOAD_KIND_VM"},
                {"resources", {{"cpu_milli", 200}, {"memory_bytes", 64 << 20}}},
                {"network", {{"mode", "none"}}}});
    REQUIRE(spec::eventually([&] { return count() > 5; }, 300s));
  }

  std::string command(std::vector<std::string> words) const {
    words.insert(words.begin(), NOVACRON);
    auto what = host::command{};
    what.argv = std::move(words);
    what.environment = {"NOVACRON_CONNECT=" + (fabric.data_of("cloud-1") / "api.sock").string(), "PATH=/usr/bin:/bin"};
    return host::run(what).out;
  }
  json instance() const {
    for (const auto& each : fabric.get("/v1/instances").value("instances", json::array()))
      if (each.value("name", "") == "vm.0")
        return each;
    return json::object();
  }
  std::string node() const { return instance().value("node", ""); }
  bool runs() const { return instance().value("phase", "") == "PHASE_RUNNING"; }
  std::string elsewhere() const { return node() == "edge-1" ? "edge-2" : "edge-1"; }

  /// The last number that it has said; 0 while there is none.
  long count() const {
    const auto said = command({"logs", "--tail=2", "vm.0"});
    const auto whole = said.substr(0, said.rfind('\n') + 1);
    const auto at = whole.rfind("tick ");
    return at == whole.npos ? 0 : std::atol(whole.c_str() + at + 5);
  }

  /// Begins a move; its name.
  std::string begin_move(const std::string& to) const {
    const auto said = fabric.ask().order("POST", "/v1/instances/vm.0:migrate", json{{"node", to}}.dump());
    return json::parse(said).value("name", "");
  }
  json migration(const std::string& name) const { return fabric.get("/v1/migrations/" + name); }
  json await_end(const std::string& name) const {
    auto now = json{};
    CHECK(spec::eventually(
        [&] {
          try {
            now = migration(name);
          } catch (const std::exception&) {
            return false;
          }
          return now.value("phase", "") != "moving";
        },
        120s));
    return now;
  }

  pid_t machine_on(const std::string& which) const {
    const auto found = workload::instance_directory{fabric.data_of(which) / "machines/vm.0"}.container();
    const auto alive = found && workload::open_process(*found);
    return alive ? found->pid : 0;
  }

  /// What it has written down: how often it began anew. Each number follows the one before, or is the first.
  int begins() {
    auto lines = std::istringstream{command({"exec", "vm.0", "/bin/busybox", "cat", "/trace"})};
    auto found = 0;
    auto last = 0L;
    for (auto each = 0L; lines >> each; last = each) {
      found += each == 1;
      if (each != 1)
        REQUIRE(each == last + 1);
    }
    return found;
  }

  /// It runs, and on one node only.
  void check_once() {
    REQUIRE(spec::eventually(
        [&] {
          try {
            return runs();
          } catch (const std::exception&) {
            return false;
          }
        },
        120s));
    const auto before = count();
    CHECK(spec::eventually([&] { return count() != before; }, 60s));
    const auto here = node();
    CHECK(machine_on(here) != 0);
    const auto other = here == "edge-1" ? "edge-2" : "edge-1";
    CHECK(spec::eventually([&] { return machine_on(other) == 0; }, 60s));
    CHECK(spec::eventually([&] { return !fs::exists(fabric.data_of(other) / "machines/vm.0"); }, 30s));
    CHECK(node() == here);
  }

  /// It goes on from where it was, and never began anew.
  void check_whole(long since) {
    REQUIRE(spec::eventually([&] { return runs() && count() > since; }, 120s));
    check_once();
    CHECK(begins() == 1);
  }

  spec::live_fabric fabric{{{"cloud-1", "cloud"}, {"edge-1", "edge"}, {"edge-2", "edge"}}};
};

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a virtual machine moves to another node and back while it runs") {
  if (cannot_move("moves between nodes"))
    return;
  auto x = stage{};
  for (auto i = 0; i < 2; ++i) {
    const auto to = x.elsewhere();
    const auto before = x.count();
    const auto epoch = x.instance().value("epoch", "");
    const auto how = x.await_end(x.begin_move(to));
    INFO(how.dump());
    REQUIRE(how.value("phase", "") == "moved");
    CHECK(x.node() == to);
    CHECK(x.instance().value("epoch", "") != epoch);
    x.check_whole(before);
  }
  x.fabric.ask().order("POST", "/v1/workloads/vm:stop", "{}");
  CHECK(spec::eventually([&] { return x.machine_on("edge-1") == 0 && x.machine_on("edge-2") == 0; }, 60s));
}

SCENARIO("whoever is killed at whatever moment of a move, the machine runs once afterwards") {
  if (cannot_move("faults during moves"))
    return;
  const auto wish = [](const char* name, long usual) {
    const auto* text = std::getenv(name);
    return text ? std::atol(text) : usual;
  };
  const auto rounds = wish("NOVACRON_MOVES", 6);
  const auto seed = static_cast<unsigned>(wish("NOVACRON_SEED", static_cast<long>(std::random_device{}() % 100'000)));
  INFO("NOVACRON_SEED=" << seed);
  auto chance = std::mt19937{seed};
  const auto below = [&](int n) { return std::uniform_int_distribution<>{0, n - 1}(chance); };
  auto x = stage{};
  // Measured: a move of this machine takes half a second.
  constexpr auto window_ms = 900;
  auto lost = 0;
  auto moved = 0;
  for (auto i = 0L; i < rounds; ++i) {
    const auto from = x.node();
    const auto to = x.elsewhere();
    const auto move = x.begin_move(to);
    const auto when = std::chrono::milliseconds{below(window_ms)};
    std::this_thread::sleep_for(when);
    const auto away = std::chrono::milliseconds{below(3000)};
    const auto fault = below(7);
    const auto kill_node = [&](const std::string& which) {
      x.fabric.processes().signal(which, SIGKILL);
      REQUIRE(spec::eventually([&] { return !x.fabric.processes().take_ended().empty(); }, 5s));
      std::this_thread::sleep_for(away);
      x.fabric.processes().start(which);
    };
    const auto kill_machine = [&](const std::string& which) {
      if (const auto pid = x.machine_on(which); pid > 0 && ::kill(pid, SIGKILL) == 0)
        ++lost;
    };
    auto what = std::string{};
    switch (fault) {
      case 0:
        kill_node(from);
        what = "the source's novacron";
        break;
      case 1:
        kill_node(to);
        what = "the target's novacron";
        break;
      case 2:
        kill_node("cloud-1");
        what = "the controller";
        break;
      case 3:
        kill_machine(from);
        what = "the source's machine";
        break;
      case 4:
        kill_machine(to);
        what = "the target's machine";
        break;
      case 5:
        x.command({"migration", "cancel", move});
        what = "cancelled";
        break;
      default:
        if (const auto ledger = x.fabric.process_of("cloud-1", true); ledger > 0)
          ::kill(ledger, SIGKILL);
        what = "the ledger's process";
    }
    INFO("round " << i << ": " << what << " after " << when.count() << " ms, away for " << away.count() << " ms");
    const auto how = x.await_end(move);
    INFO(how.dump());
    moved += how.value("phase", "") == "moved";
    x.check_once();
    CHECK(x.node() == (how.value("phase", "") == "moved" ? to : from));
    // Nothing begins anew but what was killed.
    CHECK(x.begins() <= 1 + lost);
    MESSAGE("round " << i << ": " << what << " after " << when.count() << " ms: " << how.value("phase", "") << " "
                     << how.value("reason", ""));
  }
  MESSAGE(moved << " of " << rounds << " moves were made, seed " << seed);
  x.fabric.ask().order("POST", "/v1/workloads/vm:stop", "{}");
  CHECK(spec::eventually([&] { return x.fabric.traces(false).empty(); }, 60s));
}

TEST_SUITE_END();
