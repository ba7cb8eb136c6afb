#include "spec/reality/moving_fabric.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"
#include "actors/migration/write_tracker.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/machine_files.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

namespace novacron::spec {
namespace {

using namespace std::chrono_literals;
using json = nlohmann::json;
namespace fs = std::filesystem;

std::vector<wanted_node> nodes_of(int edges) {
  auto all = std::vector<wanted_node>{{"cloud-1", "cloud"}};
  for (auto i = 1; i <= edges; ++i)
    all.push_back({fmt::format("edge-{}", i), "edge"});
  return all;
}

} // namespace

bool cannot_move(const char* what) {
  auto lacking = live_fabric::lacking();
  if (lacking.empty() && !workload::find_guest_kernel({}))
    lacking = "there is no kernel for guests (share/guest/prepare build-guest)";
  if (lacking.empty())
    lacking = migration::tracking_lack();
  if (!lacking.empty())
    skip(what, lacking);
  return !lacking.empty();
}

long wished(const char* name, long usual) {
  const auto* text = std::getenv(name);
  return text ? std::atol(text) : usual;
}

moving_fabric::moving_fabric(wishes x) : fabric{nodes_of(x.edges)}, wishes_{x} {
  REQUIRE(fabric.start_all());
  auto program = std::string{"i=0; while :; do i=$((i+1)); echo tick $i; echo $i >> /trace; sleep 0.05; done"};
  if (wishes_.dirty_pages_per_second > 0) {
    fs::create_directories(fabric.root() / "image/bin");
    fs::copy_file(BENCH_GUEST, fabric.root() / "image/bin/dirty");
    program = fmt::format("dirty wl.fill=8 wl.ws=8 wl.rate={} wl.sum=1 < /dev/null & {}",
                          wishes_.dirty_pages_per_second, program);
  }
  fabric.bring_image();
  fabric.run("vm", {"/bin/sh", "-c", program},
             {{"kind", "WORKLOAD_KIND_VM"},
              {"resources", {{"cpu_milli", 200}, {"memory_bytes", 64 << 20}}},
              {"network", {{"mode", "none"}}}});
  REQUIRE(eventually([&] { return count() > 5; }, 300s));
}

std::string moving_fabric::command(std::vector<std::string> words) const {
  words.insert(words.begin(), NOVACRON);
  auto what = host::command{};
  what.argv = std::move(words);
  what.environment = {"NOVACRON_CONNECT=" + (fabric.data_of("cloud-1") / "api.sock").string(), "PATH=/usr/bin:/bin"};
  const auto said = host::run(what);
  return said.out + said.err;
}

json moving_fabric::instance() const {
  for (const auto& each : fabric.get("/v1/instances").value("instances", json::array()))
    if (each.value("name", "") == "vm.0")
      return each;
  return json::object();
}

std::vector<std::string> moving_fabric::edges() const {
  return {fabric.nodes().begin() + 1, fabric.nodes().end()};
}

std::string moving_fabric::elsewhere() const {
  const auto all = edges();
  const auto at = std::ranges::find(all, node());
  return at == all.end() || at + 1 == all.end() ? all.front() : *(at + 1);
}

long moving_fabric::count() const {
  const auto said = command({"logs", "--tail=3", "vm.0"});
  const auto whole = said.substr(0, said.rfind('\n') + 1);
  const auto at = whole.rfind("tick ");
  return at == whole.npos ? 0 : std::atol(whole.c_str() + at + 5);
}

long moving_fabric::bad_pages() const {
  const auto said = command({"logs", "--tail=100", "vm.0"});
  const auto at = said.rfind(" bad=");
  return at == said.npos ? -1 : std::atol(said.c_str() + at + 5);
}

std::string moving_fabric::begin_move(const std::string& to) const {
  const auto said = fabric.ask().order("POST", "/v1/instances/vm.0:migrate", json{{"node", to}}.dump());
  return json::parse(said).value("name", "");
}

json moving_fabric::await_end(const std::string& migration) const {
  auto now = json{};
  CHECK(eventually(
      [&] {
        try {
          now = fabric.get("/v1/migrations/" + migration);
        } catch (const std::exception&) {
          return false;
        }
        return now.value("phase", "") != "moving";
      },
      120s));
  return now;
}

pid_t moving_fabric::machine_on(const std::string& which) const {
  const auto found = workload::instance_directory{fabric.data_of(which) / "machines/vm.0"}.container();
  const auto alive = found && workload::open_process(*found);
  return alive ? found->pid : 0;
}

int moving_fabric::begins() {
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

void moving_fabric::check_once() {
  REQUIRE(eventually(
      [&] {
        try {
          return runs();
        } catch (const std::exception&) {
          return false;
        }
      },
      120s));
  const auto before = count();
  CHECK(eventually([&] { return count() != before; }, 60s));
  const auto here = node();
  CHECK(machine_on(here) != 0);
  for (const auto& other : edges()) {
    if (other == here)
      continue;
    CHECK(eventually([&] { return machine_on(other) == 0; }, 60s));
    CHECK(eventually([&] { return !fs::exists(fabric.data_of(other) / "machines/vm.0"); }, 30s));
  }
  CHECK(node() == here);
}

void moving_fabric::check_whole(long since) {
  REQUIRE(eventually([&] { return runs() && count() > since; }, 120s));
  check_once();
  CHECK(begins() == 1);
}

bool moving_fabric::is_clean() const {
  return fabric.traces(false).empty();
}

} // namespace novacron::spec
