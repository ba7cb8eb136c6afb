#include "actors/scheduler/trial.hpp"

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/packing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

namespace novacron::scheduler {
namespace {

/// Chosen: what a policy may fall behind "balance" on a cluster that it was not learned for.
constexpr auto behind_most = 0.5;
/// How much more is asked for than there is.
constexpr auto overload = 1.3;

std::vector<trace_node> trial_nodes(bool gpus) {
  auto nodes = std::vector<trace_node>{};
  for (auto i = 0; i < 30; ++i) {
    nodes.push_back({"", 96'000, 393'216, gpus ? 8 : 0, "G2"});
    nodes.push_back({"", 64'000, 262'144, gpus ? 2 : 0, "T4"});
    nodes.push_back({"", 32'000, 262'144, 0, ""});
  }
  return nodes;
}

std::vector<trace_pod> trial_pods(bool gpus) {
  constexpr auto shares = std::array<std::int64_t, 5>{250, 320, 470, 500, 810};
  auto chance = std::mt19937_64{1};
  auto pods = std::vector<trace_pod>{};
  for (auto i = 0; i < 400; ++i) {
    auto x = trace_pod{};
    x.cpu_milli = 1000 * static_cast<std::int64_t>(1 + chance() % 12);
    x.memory_mib = 1024 * static_cast<std::int64_t>(1 + chance() % 40);
    const auto kind = chance() % 10;
    const auto share = shares[chance() % shares.size()];
    if (gpus && kind > 1) {
      x.gpus = kind == 2 ? 2 : kind == 3 ? 4 : 1;
      x.gpu_milli = kind < 7 ? 1000 : share;
    }
    pods.push_back(std::move(x));
  }
  return pods;
}

double replay(const features& weights, bool gpus) {
  static const auto nodes = std::array{trial_nodes(false), trial_nodes(true)};
  static const auto pods = std::array{trial_pods(false), trial_pods(true)};
  auto how = packing_options{};
  how.weights = weights;
  const auto run = run_packing(pods[gpus], nodes[gpus], trace_arrivals(pods[gpus], nodes[gpus], overload, 1), how);
  return packing_allocation(pods[gpus], nodes[gpus], run.decisions);
}

/// As many of the nodes as some hundred requests more than fill.
std::vector<trace_node> some_of(std::span<const trace_node> nodes, std::span<const trace_pod> pods) {
  constexpr auto requests_max = 800.0;
  constexpr auto nodes_max = std::size_t{64};
  const auto gpus = std::ranges::any_of(pods, [](const auto& x) { return x.gpu_total() > 0; });
  const auto part = [&](auto of, const auto& all) {
    auto sum = 0.0;
    for (const auto& x : all)
      sum += static_cast<double>(of(x));
    return sum / static_cast<double>(all.size());
  };
  const auto need = part([&](const trace_pod& x) { return gpus ? x.gpu_total() : x.cpu_milli; }, pods);
  const auto has = part([&](const trace_node& x) { return gpus ? x.gpus * 1000 : x.cpu_milli; }, nodes);
  if (!(need > 0 && has > 0))
    return {};
  const auto count =
      std::clamp(static_cast<std::size_t>(requests_max * need / has / overload), std::size_t{4}, nodes_max);
  auto some = std::vector<trace_node>{};
  const auto stride = std::max(1.0, static_cast<double>(nodes.size()) / static_cast<double>(count));
  for (auto at = 0.0; at < static_cast<double>(nodes.size()) && some.size() < count; at += stride)
    some.push_back(nodes[static_cast<std::size_t>(at)]);
  return some;
}

std::string wrong_training(const v1::Training& x) {
  for (const auto figure : {x.score(), x.score_against(), x.deviation()})
    if (!(figure >= 0 && figure <= 100))
      return "what is said of its training is not in percent";
  if (x.runs() < 2 || x.history().empty() || !policy_weights(x.against()))
    return "it does not say what it was learned from and judged on";
  if (x.score() <= x.score_against() + x.deviation())
    return fmt::format("it filled {:.2f} % where {} filled {:.2f} %, which is no better beyond chance", x.score(),
                       x.against(), x.score_against());
  return {};
}

} // namespace

std::string wrong_in_use(const features& weights, std::span<const trace_node> nodes, std::span<const trace_pod> pods) {
  const auto some = nodes.empty() || pods.empty() ? std::vector<trace_node>{} : some_of(nodes, pods);
  if (some.empty())
    return {};
  auto how = packing_options{};
  auto sums = std::array<double, 2>{};
  constexpr auto orders = 2u;
  for (auto seed = 1u; seed <= orders; ++seed) {
    const auto arrivals = trace_arrivals(pods, some, overload, seed);
    auto filled = std::array<double, 2>{};
    for (const auto ours : {0, 1}) {
      how.weights = ours ? weights : *policy_weights("balance");
      filled[ours] = packing_allocation(pods, some, run_packing(pods, some, arrivals, how).decisions);
      sums[ours] += filled[ours] / orders;
    }
    // Beyond chance: in every order.
    if (filled[1] >= filled[0] - behind_most)
      return {};
  }
  return fmt::format("in use, of the last {} requests it would have filled {:.1f} % where balance fills {:.1f} %",
                     pods.size(), sums[1], sums[0]);
}

trial_score trial_of(const features& weights) {
  return {replay(weights, true), replay(weights, false)};
}

std::string wrong_policy_record(const v1::Policy& x) {
  if (auto wrong = wrong_weights(x); !wrong.empty() || !x.has_training())
    return wrong;
  if (auto wrong = wrong_training(x.training()); !wrong.empty())
    return wrong;
  const auto weights = to_features(x);
  const auto base = *policy_weights("balance");
  // A replay knows no labels, images, prices, replicas or failures: weights of these would come from nowhere.
  for (const auto each : {prefer, image, feature::spread, fresh, feature::home, price, zones})
    if (weights[each] != base[each])
      return fmt::format("its weight of {} is {}, but learning leaves that at {}", to_string(each), weights[each],
                         base[each]);
  static const auto usual = trial_of(base);
  const auto found = trial_of(weights);
  for (const auto& [what, ours, theirs] : {std::tuple{"with", found.with_gpus, usual.with_gpus},
                                           std::tuple{"without", found.without_gpus, usual.without_gpus}})
    if (ours < theirs - behind_most)
      return fmt::format("on trial {} GPUs it filled {:.1f} % where balance filled {:.1f} %", what, ours, theirs);
  return {};
}

} // namespace novacron::scheduler
