#include "actors/simulation/bench_world.hpp"

#include "actors/simulation/player.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace novacron::simulation {
namespace {

using namespace std::chrono_literals;

/// Instances of one workload: orders of people are of this size.
constexpr auto replicas_each = 1000u;

double processor_seconds() {
  auto used = rusage{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

double resident_bytes() {
  auto in = std::ifstream{"/proc/self/statm"};
  auto size = 0.0;
  auto resident = 0.0;
  in >> size >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

scenario world_of(const bench_options& options) {
  auto found = scenario{.name = "bench"};
  auto& nodes = found.plan.settings.nodes;
  nodes.pulse.beat = 10s;
  nodes.pulse.patience = 40s;
  nodes.report_interval = 5min;
  nodes.patience = 60s;
  found.plan.settings.post.encoded = false;
  found.plan.settings.shuffle_one_in = 0;
  auto one = host_plan{.name = "cloud-1", .role = "cloud", .workloads = false};
  found.plan.hosts.reserve(options.hosts + 1);
  found.plan.hosts.push_back(one);
  for (auto i = 1u; i <= options.hosts; ++i) {
    auto edge =
        host_plan{.name = fmt::format("edge-{}", i), .zone = fmt::format("zone-{}", i % 20), .joins = {"cloud-1"}};
    edge.capacity.set_cpu_milli(16'000);
    edge.capacity.set_memory_bytes(32ull << 30);
    edge.capacity.set_disk_bytes(1ull << 40);
    found.plan.hosts.push_back(std::move(edge));
  }
  return found;
}

} // namespace

std::vector<host::figure> bench_world(const bench_options& options) {
  const auto what = world_of(options);
  const auto before = processor_seconds();
  auto play = player{what, {.seed = options.seed}};
  play.advance(60s);
  for (auto made = 0u; made < options.workloads; made += replicas_each) {
    auto spec = wire::WorkloadSpec{};
    spec.set_name(fmt::format("load-{}", made / replicas_each));
    spec.set_kind(wire::WORKLOAD_KIND_CONTAINER);
    spec.mutable_program()->set_image("load:1");
    spec.mutable_resources()->set_cpu_milli(100);
    spec.mutable_resources()->set_memory_bytes(128 << 20);
    spec.set_replicas(std::min(replicas_each, options.workloads - made));
    play.submit(spec);
  }
  play.here().advance_until(30min, [&] { return play.here().watch().running() >= options.workloads; });
  const auto filled = play.here().now();
  const auto running = play.here().watch().running();
  if (const auto left = moment{options.virtual_time} - play.here().now(); left > moment{0})
    play.advance(left);
  const auto cpu = processor_seconds() - before;
  const auto seen = play.result();
  if (running < options.workloads || !seen.violations.empty())
    throw std::runtime_error{fmt::format("{} of {} run, {} violations: {}", running, options.workloads,
                                         seen.violations.size(),
                                         seen.violations.empty() ? "none" : seen.violations.front().text)};
  auto figures =
      std::vector<host::figure>{{"cpu", cpu, "s"},
                                {"resident", resident_bytes(), "B"},
                                {"events", static_cast<double>(seen.events), "1"},
                                {"messages", static_cast<double>(seen.messages.delivered), "1"},
                                {"events_rate", static_cast<double>(seen.events) / cpu, "1/s"},
                                {"virtual", std::chrono::duration<double>(seen.virtual_time).count(), "s"},
                                {"speedup", std::chrono::duration<double>(seen.virtual_time).count() / cpu, "1"}};
  if (options.workloads > 0)
    figures.push_back({"filled", std::chrono::duration<double>(filled).count(), "s"});
  return figures;
}

} // namespace novacron::simulation
