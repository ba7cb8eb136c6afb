/// What a whole fabric of real processes promises when its processes are killed, asked to end, and looked at.

#include "spec/reality/fabric_fixture.hpp"
#include "spec/skip.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>
#include <set>
#include <string_view>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;
using json = nlohmann::json;
namespace fs = std::filesystem;
using monotonic = std::chrono::steady_clock;

namespace {

/// A number from the environment, which nodes shall not see as a setting.
std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const auto* text = std::getenv(variable);
  return text ? std::stoull(text) : otherwise;
}

bool cannot_run(const char* what) {
  const auto lacking = spec::live_fabric::lacking();
  if (!lacking.empty())
    spec::skip(what, lacking);
  return !lacking.empty();
}

std::string text_of(const std::map<std::string, std::vector<std::string>>& running) {
  auto text = std::string{};
  for (const auto& [name, nodes] : running)
    text += fmt::format(" {}@{}", name, fmt::join(nodes, "+"));
  return text;
}

/// Load on a fabric, and the random end of its processes.
class storm {
public:
  storm(spec::live_fabric& on, std::uint64_t seed) : fabric{on}, chance{seed} {
    const auto forever = std::vector<std::string>{"/bin/sleep", "100000"};
    fabric.run("web", forever, {{"replicas", 3}, {"on_disconnect", {{"action", "ON_DISCONNECT_REPLACE"}}}});
    fabric.run("keeper", forever, {{"on_disconnect", {{"action", "ON_DISCONNECT_REPLACE"}}}});
    fabric.run("guard", forever, {{"on_disconnect", {{"action", "ON_DISCONNECT_STOP_AFTER"}, {"after_ms", 2000}}}});
  }

  /// What runs is exactly what was asked for: by the machine, and as the API tells it.
  bool settled() {
    try {
      auto claimed = std::map<std::string, std::vector<std::string>>{};
      const auto told = fabric.get("/v1/instances");
      for (const auto& x : told.at("instances"))
        if (is_service(x.at("name")) && x.value("phase", "") == "PHASE_RUNNING")
          claimed[x.at("name")].push_back(x.at("node"));
      seen = services();
      return seen == claimed && seen.size() == 5 && std::ranges::all_of(seen, [](const auto& x) { return x.second.size() == 1; });
    } catch (const std::exception&) {
      return false; // the controller is not back yet
    }
  }

  bool settles(std::chrono::nanoseconds limit) {
    // Twice in a row: something that is about to be stopped does not count.
    auto before = std::map<std::string, std::vector<std::string>>{};
    return spec::eventually([&] { return settled() && std::exchange(before, seen) == seen; }, limit);
  }

  /// Ends one process without warning, and brings the node back after a while.
  std::string strike() {
    const auto& names = fabric.nodes();
    const auto at = std::uniform_int_distribution<std::size_t>{0, names.size()}(chance);
    const auto pause = std::chrono::milliseconds{std::uniform_int_distribution<>{0, 4000}(chance)};
    add_job();
    std::this_thread::sleep_for(std::chrono::milliseconds{std::uniform_int_distribution<>{0, 500}(chance)});
    if (at == names.size()) {
      const auto ledger = fabric.process_of(names.front(), true);
      REQUIRE(ledger > 0);
      ::kill(ledger, SIGKILL);
      return "the ledger's process";
    }
    fabric.processes().signal(names[at], SIGKILL);
    REQUIRE(spec::eventually([&] { return !fabric.processes().take_ended().empty(); }, 5s));
    std::this_thread::sleep_for(pause);
    fabric.processes().start(names[at]);
    return fmt::format("{}, away for {} ms", names[at], pause.count());
  }

  /// Batch work arrives when it likes; while there is no controller it comes again.
  void add_job() {
    const auto name = fmt::format("job-{}", jobs);
    try {
      fabric.run(name, {"/bin/sh", "-c", "sleep 1; echo done"},
                 {{"kind", "WORKLOAD_KIND_BATCH"},
                  {"replicas", 0},
                  {"on_disconnect", {{"action", "ON_DISCONNECT_REPLACE"}}},
                  {"batch", {{"completions", 2}, {"parallelism", 2}, {"retries", 20}}}});
      ++jobs;
    } catch (const std::exception& problem) {
      MESSAGE("a job was not taken: " << problem.what());
    }
  }

  bool jobs_done() {
    try {
      for (auto i = 0; i < jobs; ++i)
        if (fabric.get(fmt::format("/v1/workloads/job-{}", i)).value("phase", "") != "PHASE_COMPLETED")
          return false;
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

  spec::live_fabric& fabric;
  std::mt19937_64 chance;
  int jobs = 0;
  std::map<std::string, std::vector<std::string>> seen;

private:
  static bool is_service(const std::string& name) { return !name.starts_with("job-"); }

  std::map<std::string, std::vector<std::string>> services() const {
    auto found = fabric.running();
    std::erase_if(found, [](const auto& x) { return !is_service(x.first); });
    return found;
  }
};

void take_down(spec::live_fabric& fabric) {
  CHECK(node::clear_workloads(fabric.processes().socket(), 30s));
  CHECK(spec::eventually([&] { return fabric.running().empty() && fabric.traces(false).empty(); }, 10s));
  for (const auto& trace : fabric.traces(false))
    FAIL_CHECK("left while the nodes run: " << trace);
  fabric.processes().stop(15s);
  spec::eventually([&] { return fabric.traces(true).empty(); }, 5s);
  for (const auto& trace : fabric.traces(true))
    FAIL_CHECK("left after the nodes: " << trace);
}

/// The names of our metrics in a text, those of the parts of histograms as the histogram's.
std::set<std::string> metric_names(const std::string& text) {
  static const auto shape = std::regex{"novacron_[a-z0-9_]+"};
  auto found = std::set<std::string>{};
  for (auto i = std::sregex_iterator{text.begin(), text.end(), shape}; i != std::sregex_iterator{}; ++i) {
    auto name = i->str();
    if (name.ends_with("_bucket"))
      name.resize(name.size() - std::string_view{"_bucket"}.size());
    found.insert(name);
  }
  return found;
}

/// Resident memory that no other process shares, and all of it, in MB.
} // namespace

SCENARIO("a node whose port somebody else has says so and ends") {
  const auto port = spec::free_port();
  const auto holder = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto where = sockaddr_in{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(holder, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
  REQUIRE(::listen(holder, 1) == 0);
  auto pattern = (fs::temp_directory_path() / "novacron-port-XXXXXX").string();
  const auto place = fs::path{::mkdtemp(pattern.data())};
  std::ofstream{place / "nodes.toml"}
      << fmt::format("[[node]]\nname = \"cloud-1\"\nrole = \"cloud\"\nlisten = \"127.0.0.1:{}\"\n", port);
  const auto command = fmt::format("cd {0} && timeout -s KILL 20 {1} dev --data-dir={0}/data >out 2>&1", place.string(), NOVACRON);
  const auto status = std::system(command.c_str());
  const auto out = host::read_file(place / "out").value_or("");
  CHECK_MESSAGE(WEXITSTATUS(status) == 1, out);
  CHECK_MESSAGE(out.find(fmt::format("cannot listen on 127.0.0.1:{}; is another node using it?", port)) != out.npos, out);
  ::close(holder);
  fs::remove_all(place);
}

SCENARIO("whatever process is killed, each workload runs exactly as often as asked for") {
  if (cannot_run("kills of the processes of a fabric"))
    return;
  const auto kills = number_from("NOVACRON_KILLS", 6);
  const auto seed = number_from("NOVACRON_SEED", std::random_device{}());
  std::printf("kills %ju, seed %ju (NOVACRON_KILLS, NOVACRON_SEED)\n", kills, seed);
  auto fabric = spec::live_fabric{{{"cloud-1", "cloud"}, {"edge-1", "edge"}, {"edge-2", "edge"}, {"gpu-1", "gpu"}}};
  REQUIRE(fabric.start_all());
  fabric.bring_image();
  auto weather = storm{fabric, seed};
  REQUIRE_MESSAGE(weather.settles(30s), fabric.get("/v1/instances").dump());
  auto slowest = 0.0, sum = 0.0;
  auto failed = 0;
  for (auto i = std::uint64_t{0}; i < kills; ++i) {
    const auto what = weather.strike();
    const auto begin = monotonic::now();
    const auto well = weather.settles(15s);
    const auto took = spec::seconds_since(begin);
    slowest = std::max(slowest, took);
    sum += took;
    failed += !well;
    std::printf("kill %ju: %s; all is well after %.1f s%s\n", i + 1, what.c_str(), took, well ? "" : ": NOT");
    std::fflush(stdout);
    CHECK_MESSAGE(well, "after the kill of " << what << " there runs" << text_of(weather.seen));
  }
  std::printf("%ju kills, %d without recovery in 15 s; recovery mean %.1f s, slowest %.1f s; %d batch jobs\n", kills, failed,
              sum / static_cast<double>(kills), slowest, weather.jobs);
  CHECK(spec::eventually([&] { return weather.jobs_done(); }, 40s));
  for (const auto& [name, nodes] : weather.seen)
    for (const auto& node : nodes)
      CHECK(fabric.crun_state(node, name) == "running");
  take_down(fabric);
}

SCENARIO("a node that is asked to end leaves its workloads alone and adopts them at its next start") {
  if (cannot_run("graceful ends of nodes"))
    return;
  auto fabric = spec::live_fabric{{{"cloud-1", "cloud"}, {"edge-1", "edge"}}};
  REQUIRE(fabric.start_all());
  fabric.bring_image();
  fabric.run("keeper", {"/bin/sleep", "100000"});
  auto keeper = [&] {
    const auto told = fabric.get("/v1/instances");
    return told.at("instances").empty() ? json::object() : told.at("instances").front();
  };
  const auto started = spec::eventually([&] { return keeper().value("phase", "") == "PHASE_RUNNING"; }, 15s);
  REQUIRE_MESSAGE(started, keeper().dump());
  const auto before = keeper();
  const auto pid = fabric.first_process("edge-1", "keeper.0");
  REQUIRE(pid > 0);
  for (auto round = 0; round < 3; ++round)
    for (const auto& node : fabric.nodes()) {
      const auto begin = monotonic::now();
      fabric.processes().signal(node, SIGTERM);
      auto ended = std::vector<std::pair<std::string, host::ending>>{};
      REQUIRE(spec::eventually([&] { return !(ended = fabric.processes().take_ended()).empty(); }, 15s));
      const auto took = spec::seconds_since(begin);
      std::printf("%s ended %.2f s after SIGTERM\n", node.c_str(), took);
      CHECK(ended.front().second.code == 0);
      CHECK(took < 5);
      CHECK_FALSE(fabric.logged(node, "did not end in time"));
      CHECK(fabric.first_process("edge-1", "keeper.0") == pid);
      fabric.processes().start(node);
      REQUIRE(fabric.processes().await_ready(20s));
      CHECK(spec::eventually(
          [&] {
            try {
              return keeper().value("phase", "") == "PHASE_RUNNING";
            } catch (const std::exception&) {
              return false;
            }
          },
          15s));
      CHECK(fabric.first_process("edge-1", "keeper.0") == pid);
      CHECK(keeper().value("started_ms", "") == before.value("started_ms", "-"));
      CHECK(keeper().value("epoch", "") == before.value("epoch", "-"));
    }
  take_down(fabric);
}

SCENARIO("each role can be watched by Prometheus, and is small while it is idle") {
  if (cannot_run("metrics and memory of each role"))
    return;
  auto look = host::command{};
  look.argv = {"/bin/sh", "-c", "command -v promtool"};
  const auto promtool = host::run(look).how.code == 0;
  if (!promtool)
    spec::skip("promtool check metrics", "promtool is not installed (Debian: prometheus)");
  auto fabrics = std::vector<std::unique_ptr<spec::live_fabric>>{};
  fabrics.push_back(std::make_unique<spec::live_fabric>(std::vector<spec::wanted_node>{
      {"cloud-1", "cloud"}, {"edge-1", "edge"}, {"gpu-1", "gpu"}, {"storage-1", "storage"}, {"gateway-1", "gateway"}}));
  fabrics.push_back(std::make_unique<spec::live_fabric>(std::vector<spec::wanted_node>{{"hybrid-1", "hybrid"}}));
  for (const auto& fabric : fabrics)
    REQUIRE(fabric->start_all());
  std::this_thread::sleep_for(5s);
  auto known = std::set<std::string>{};
  for (const auto& fabric : fabrics)
    for (const auto& node : fabric->nodes()) {
      const auto size = spec::resident_mb(fabric->process_of(node));
      std::printf("%s: %.1f MB resident when idle\n", node.c_str(), size);
      if (spec::is_fast_build && node == "edge-1")
        CHECK(size <= 20);
      fabric->ask(node).get("/metrics"); // so that a request has been counted
      const auto text = fabric->ask(node).get("/metrics");
      known.merge(metric_names(text));
      CHECK(text.find("novacron_actor_mailbox_length{actor=\"images\"} 0\n") != text.npos);
      if (!promtool)
        continue;
      auto check = host::command{};
      check.argv = {"promtool", "check", "metrics"};
      const auto found = host::run(check, 30s, text);
      CHECK_MESSAGE(found.how.code == 0, node << ": " << found.out << found.err);
    }
  THEN("dashboard and alerts speak of metrics that are there") {
    for (const auto* file : {"share/grafana/novacron.json", "share/prometheus/novacron.rules.yml"})
      for (const auto& name : metric_names(host::read_file(fs::path{HOUSE_ROOT} / file).value_or("")))
        CHECK_MESSAGE(known.contains(name), file << " speaks of " << name);
  }
}
