#include "actors/workload/bench_container.hpp"
#include "actors/workload/bench_machine.hpp"
#include "actors/workload/instance_directory.hpp"

#include <chrono>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace novacron::workload {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

/// Chosen: what a guest still does after it has said something is over by then.
constexpr auto settling = 3s;

/// The process's share of the memory that it uses: what it shares with n others counts an n-th.
double share_of_memory(pid_t pid) {
  auto file = std::ifstream{"/proc/" + std::to_string(pid) + "/smaps_rollup"};
  for (auto word = std::string{}; file >> word;)
    if (auto kib = 0.0; word == "Pss:" && file >> kib)
      return kib * 1024;
  throw std::runtime_error{"a process has gone that should be idle"};
}

struct seen {
  double seconds = 0;
  double bytes = 0;
};

/// All at once through the agent; the shim of each counts with it.
seen through_agent(machine_bench& one, int count) {
  auto found = seen{};
  found.seconds = one.node().start_many(one.spec(), count, machine_bench::greeting);
  one.keep(bench_node::name_of(0));
  std::this_thread::sleep_for(settling);
  for (auto i = 0; i < count; ++i) {
    const auto place = instance_directory{one.node().data() / "machines" / bench_node::name_of(i)};
    for (const auto& process : {place.container(), place.shim()})
      if (process)
        found.bytes += share_of_memory(process->pid) / count;
  }
  one.node().clear();
  return found;
}

seen by_hand(machine_bench& one, int count) {
  auto found = seen{};
  auto all = std::vector<std::unique_ptr<machine_bench::bare>>{};
  const auto begin = clock::now();
  for (auto i = 0; i < count; ++i)
    all.push_back(one.start_bare("bare-" + std::to_string(i)));
  for (const auto& each : all)
    if (!each->output.says(machine_bench::greeting, 240s))
      throw std::runtime_error{"a machine gave no output when it was started by hand"};
  found.seconds = std::chrono::duration<double>{clock::now() - begin}.count();
  std::this_thread::sleep_for(settling);
  for (const auto& each : all)
    found.bytes += share_of_memory(each->child.pid) / count;
  return found;
}

} // namespace

std::map<std::string, bench_figure> bench_density(const bench_options& options) {
  auto one = machine_bench{options, false, true};
  // The template is there, as it is on every node that has run such a sandbox before.
  one.through_agent();
  const auto ours = through_agent(one, options.rounds);
  const auto theirs = by_hand(one, options.rounds);
  const auto figure = [](double value, const char* unit, double peer) {
    return bench_figure{value, unit, "the same clones by hand", peer, value / peer};
  };
  return {{"pss", figure(ours.bytes, "B", theirs.bytes)}, {"start_all", figure(ours.seconds, "s", theirs.seconds)}};
}

} // namespace novacron::workload
