#include "actors/scheduler/packing.hpp"

#include "actors/host/gzip.hpp"
#include "actors/scheduler/packing_plot.hpp"
#include "actors/scheduler/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string_view>
#include <tuple>
#include <utility>

namespace novacron::scheduler {
namespace {

using clock = std::chrono::steady_clock;

/// What a trace's cluster is short of: its GPUs, or its cores where nobody wants a GPU.
class scarce {
public:
  explicit scarce(std::span<const trace_pod> pods)
      : gpus_{std::ranges::any_of(pods, [](const auto& x) { return x.gpu_total() > 0; })} {}

  std::int64_t of(const trace_pod& x) const { return gpus_ ? x.gpu_total() : x.cpu_milli; }
  std::int64_t of(std::span<const trace_node> nodes) const {
    auto sum = std::int64_t{0};
    for (const auto& x : nodes)
      sum += gpus_ ? x.gpus * 1000 : x.cpu_milli;
    return sum;
  }

private:
  bool gpus_;
};

/// Names in the order of the file: it is the order of nodes that are equally good.
std::string slot_name(std::size_t at) {
  return fmt::format("{:06}", at);
}

amount need_of(const trace_pod& x) {
  return {x.cpu_milli, x.memory_mib << 20, 0, x.gpu_total(), x.models, {}};
}

cluster cluster_of(std::span<const trace_pod> pods, std::span<const trace_node> nodes, const packing_options& options) {
  auto all = cluster{options.weights ? "given" : options.policy};
  if (options.weights)
    all.define_policy("given", options.weights);
  for (auto i = std::size_t{0}; i < nodes.size(); ++i)
    all.set_node({slot_name(i),
                  {},
                  {nodes[i].cpu_milli, nodes[i].memory_mib << 20, 0, nodes[i].gpus * 1000, nodes[i].model, {}},
                  {},
                  true,
                  node_state::ready});
  if (!options.mix_known)
    return all;
  auto counts = std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::string>, double>{};
  for (const auto& x : pods)
    ++counts[{x.cpu_milli, x.memory_mib << 20, x.gpu_total(), x.models}];
  auto mix = std::vector<expected_request>{};
  for (const auto& [kind, count] : counts)
    mix.push_back({std::get<0>(kind), std::get<1>(kind), std::get<2>(kind), std::get<3>(kind), count});
  all.expect(std::move(mix));
  return all;
}

/// What is free on a node, kept as plainly as can be: the engine's own columns prove nothing.
struct plain_node {
  std::int64_t cpu = 0;
  std::int64_t memory = 0;
  std::vector<std::int64_t> devices;

  bool fits(const trace_pod& x, const trace_node& node) const {
    if (cpu < x.cpu_milli || memory < x.memory_mib)
      return false;
    if (x.gpus == 0)
      return true;
    const auto able = std::ranges::count_if(devices, [&](auto free) { return free >= x.gpu_milli; });
    return able >= x.gpus && allows(x.models, node.model);
  }
  static bool allows(const std::string& models, const std::string& model) {
    return models.empty() || ("|" + models + "|").find("|" + model + "|") != std::string::npos;
  }
  /// Whether all of it was there.
  bool take(const trace_pod& x, std::vector<std::uint32_t> gpus, const trace_node& node) {
    std::ranges::sort(gpus);
    auto well = fits(x, node) && static_cast<std::int64_t>(gpus.size()) == x.gpus &&
                std::ranges::adjacent_find(gpus) == gpus.end();
    cpu -= x.cpu_milli;
    memory -= x.memory_mib;
    for (const auto device : gpus)
      well = device < devices.size() && (devices[device] -= x.gpu_milli) >= 0 && well;
    return well;
  }
};

/// What the authors of FGD published for their six files (USENIX ATC 2023), and what a linear program allows when
/// nothing is rejected, in percent.
struct published {
  double mean = 0;
  double sd = 0;
  double bound = 0;
  /// And for the policies they compared it with: random, dot product, GPU packing, best fit.
  std::array<double, 4> others{};
};

std::optional<published> published_for(const std::string& file) {
  static const auto all = std::map<std::string, published, std::less<>>{
      {"cpu050", {95.21, 0.09, 96.32, {91.24, 93.27, 93.72, 93.79}}},
      {"default", {95.39, 0.08, 96.32, {87.47, 90.85, 92.00, 93.08}}},
      {"gpushare100", {86.90, 0.14, 88.20, {79.44, 82.42, 82.57, 85.01}}},
      {"gpushare40", {94.15, 0.06, 94.89, {86.00, 89.56, 90.03, 91.69}}},
      {"gpuspec10", {94.95, 0.20, 96.56, {87.43, 90.39, 92.46, 93.30}}},
      {"multigpu20", {95.65, 0.15, 96.82, {88.69, 92.06, 93.71, 93.93}}},
  };
  auto name = std::filesystem::path{file}.filename().string();
  name = name.substr(0, name.find('.'));
  constexpr auto prefix = std::string_view{"openb_pod_list_"};
  if (!name.starts_with(prefix))
    return {};
  const auto found = all.find(name.substr(prefix.size()));
  return found == all.end() ? std::nullopt : std::optional{found->second};
}

} // namespace

std::vector<std::uint32_t> trace_arrivals(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                                          double demand, std::uint64_t seed) {
  auto chance = std::mt19937_64{seed};
  const auto what = scarce{pods};
  auto order = std::vector<std::uint32_t>(pods.size());
  auto sum = std::int64_t{0};
  for (auto i = std::size_t{0}; i < pods.size(); ++i) {
    order[i] = static_cast<std::uint32_t>(i);
    sum += what.of(pods[i]);
  }
  if (sum == 0)
    throw std::runtime_error{"no pod of this trace wants a GPU or a core"};
  // Not std::shuffle: its order differs between libraries.
  for (auto i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[chance() % i]);
  const auto wanted = demand * static_cast<double>(what.of(nodes));
  while (static_cast<double>(sum) < wanted) {
    order.push_back(static_cast<std::uint32_t>(chance() % pods.size()));
    sum += what.of(pods[order.back()]);
  }
  return order;
}

packing_run run_packing(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                        std::span<const std::uint32_t> arrivals, const packing_options& options) {
  auto all = cluster_of(pods, nodes, options);
  auto run = packing_run{};
  run.decisions.reserve(arrivals.size());
  run.times.reserve(arrivals.size());
  for (const auto pod : arrivals) {
    auto wanted = request{};
    // Nobody's second instance: pods of a trace do not know one another.
    wanted.workload = fmt::format("p{}", run.decisions.size());
    wanted.need = need_of(pods[pod]);
    const auto begin = clock::now();
    auto where = all.place(wanted);
    if (where)
      all.take(wanted.workload, {where->node, wanted.workload, wanted.need, where->gpus, {}, {}});
    run.times.push_back(std::chrono::duration<double>(clock::now() - begin).count());
    run.decisions.push_back(
        {pod, where ? std::stoi(where->node) : -1, where ? std::move(where->gpus) : std::vector<std::uint32_t>{}});
  }
  return run;
}

std::uint64_t packing_violations(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                                 std::span<const packed_pod> decisions) {
  auto state = std::vector<plain_node>{};
  for (const auto& x : nodes)
    state.push_back({x.cpu_milli, x.memory_mib, std::vector<std::int64_t>(static_cast<std::size_t>(x.gpus), 1000)});
  auto wrong = std::uint64_t{0};
  for (const auto& x : decisions) {
    const auto& pod = pods[x.pod];
    if (x.node < 0) {
      for (auto i = std::size_t{0}; i < nodes.size(); ++i)
        if (state[i].fits(pod, nodes[i])) {
          ++wrong;
          break;
        }
      continue;
    }
    const auto at = static_cast<std::size_t>(x.node);
    wrong += at >= nodes.size() || !state[at].take(pod, x.gpus, nodes[at]);
  }
  return wrong;
}

double packing_allocation(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                          std::span<const packed_pod> decisions) {
  const auto what = scarce{pods};
  auto sum = std::int64_t{0};
  for (const auto& x : decisions)
    sum += x.node < 0 ? 0 : what.of(pods[x.pod]);
  return 100.0 * static_cast<double>(sum) / static_cast<double>(what.of(nodes));
}

std::vector<double> packing_curve(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                                  std::span<const packed_pod> decisions) {
  const auto what = scarce{pods};
  const auto all = static_cast<double>(what.of(nodes));
  auto asked = 0.0;
  auto allocated = 0.0;
  auto curve = std::vector<double>{0};
  for (const auto& x : decisions) {
    const auto part = 100 * static_cast<double>(what.of(pods[x.pod])) / all;
    asked += part;
    allocated += x.node < 0 ? 0 : part;
    while (static_cast<double>(curve.size()) <= asked + 1e-9)
      curve.push_back(allocated);
  }
  return curve;
}

std::string packing_text(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                         std::span<const packed_pod> decisions, std::uint64_t seed) {
  auto text = std::string{};
  for (auto i = std::size_t{0}; i < decisions.size(); ++i) {
    const auto& x = decisions[i];
    text += fmt::format("{},{},{},{},{}\n", seed, i, pods[x.pod].name,
                        x.node < 0 ? "" : nodes[static_cast<std::size_t>(x.node)].name, fmt::join(x.gpus, "|"));
  }
  return text;
}

namespace {

/// The mean of curves as far as all of them go.
void add_to(std::vector<double>& sum, const std::vector<double>& curve, std::uint32_t runs) {
  if (sum.empty())
    sum.resize(curve.size());
  sum.resize(std::min(sum.size(), curve.size()));
  for (auto i = std::size_t{0}; i < sum.size(); ++i)
    sum[i] += curve[i] / runs;
}

/// The policy beside those that ship, and what was published of others.
std::string picture_of(std::span<const trace_pod> pods, std::span<const trace_node> nodes,
                       const packing_options& options, std::vector<double> own) {
  auto x = packing_picture{};
  x.title = std::filesystem::path{options.pods}.filename().string();
  const auto name = options.weights ? std::string{"the model"} : options.policy;
  x.curves.emplace_back(name, std::move(own));
  for (const auto* policy : {"pack", "balance"}) {
    if (policy == name)
      continue;
    auto other = options;
    other.weights.reset();
    other.policy = policy;
    auto curve = std::vector<double>{};
    for (auto seed = std::uint32_t{1}; seed <= options.seeds; ++seed)
      add_to(curve,
             packing_curve(pods, nodes,
                           run_packing(pods, nodes, trace_arrivals(pods, nodes, options.demand, seed), other).decisions),
             options.seeds);
    x.curves.emplace_back(policy, std::move(curve));
  }
  // They were published for this demand only.
  if (const auto known = published_for(options.pods); known && std::abs(options.demand - 1.3) < 1e-9)
    x.published = {{"linear program", known->bound},
                   {"FGD, published", known->mean},
                   {"best fit, published", known->others[3]},
                   {"GPU packing, published", known->others[2]},
                   {"dot product, published", known->others[1]},
                   {"random, published", known->others[0]}};
  return plot_packing(x);
}

void keep(const std::string& file, const std::string& text) {
  auto out = std::ofstream{file};
  if (!(out << text).flush())
    throw std::runtime_error{"cannot write " + file};
}

} // namespace

std::vector<host::figure> bench_packing(const packing_options& options) {
  const auto nodes = parse_trace_nodes(host::read_unpacked(options.nodes));
  const auto pods = parse_trace_pods(host::read_unpacked(options.pods));
  if (options.seeds == 0)
    throw std::runtime_error{"--seeds is 0; at least one run is needed"};
  auto out = std::ofstream{};
  if (!options.out.empty()) {
    out.open(options.out);
    out << "seed,arrival,pod,node,gpus\n";
  }
  auto allocations = std::vector<double>{};
  auto times = std::vector<double>{};
  auto violations = std::uint64_t{0};
  auto rejected = 0.0;
  auto curve = std::vector<double>{};
  for (auto seed = std::uint32_t{1}; seed <= options.seeds; ++seed) {
    const auto run = run_packing(pods, nodes, trace_arrivals(pods, nodes, options.demand, seed), options);
    allocations.push_back(packing_allocation(pods, nodes, run.decisions));
    violations += packing_violations(pods, nodes, run.decisions);
    rejected += static_cast<double>(std::ranges::count(run.decisions, -1, &packed_pod::node)) / options.seeds;
    times.insert(times.end(), run.times.begin(), run.times.end());
    add_to(curve, packing_curve(pods, nodes, run.decisions), options.seeds);
    if (!options.out.empty())
      out << packing_text(pods, nodes, run.decisions, seed);
  }
  if (!options.out.empty() && !out.flush())
    throw std::runtime_error{"cannot write " + options.out};
  if (!options.plot.empty())
    keep(options.plot, picture_of(pods, nodes, options, std::move(curve)));
  auto mean = 0.0;
  for (const auto x : allocations)
    mean += x / static_cast<double>(allocations.size());
  auto square = 0.0;
  for (const auto x : allocations)
    square += (x - mean) * (x - mean);
  const auto sd = allocations.size() > 1 ? std::sqrt(square / static_cast<double>(allocations.size() - 1)) : 0.0;
  auto total = 0.0;
  for (const auto x : times)
    total += x;
  auto found = std::vector<host::figure>{};
  if (const auto known = published_for(options.pods)) {
    found.push_back(host::beside("allocation_mean", mean, "%", "FGD, published", known->mean));
    found.push_back(host::beside("allocation_sd", sd, "%", "FGD, published", known->sd));
    found.push_back(host::beside("allocation_bound", mean, "%", "linear program, nothing rejected", known->bound));
  } else {
    found.push_back({"allocation_mean", mean, "%"});
    found.push_back({"allocation_sd", sd, "%"});
  }
  found.push_back({"rejected", rejected, "1"});
  found.push_back({"decision_rate", total > 0 ? static_cast<double>(times.size()) / total : 0, "1/s"});
  found.push_back({"decision_p50", host::quantile(times, 0.5), "s"});
  found.push_back({"decision_p99", host::quantile(times, 0.99), "s"});
  found.push_back({"violations", static_cast<double>(violations), "1"});
  return found;
}

} // namespace novacron::scheduler
