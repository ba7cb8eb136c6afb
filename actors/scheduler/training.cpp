#include "actors/scheduler/training.hpp"

#include "actors/host/certificate.hpp"
#include "actors/host/gzip.hpp"
#include "actors/scheduler/evolution.hpp"
#include "actors/scheduler/packing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <utility>

namespace novacron::scheduler {
namespace {

using clock = std::chrono::steady_clock;

/// Chosen: a weight nearer to nothing than that is nothing, so that nodes can be equally good and the first one wins.
/// Without it hardly a candidate leaves a feature alone, and on openb any hint of `room` costs more than it can win.
constexpr auto nothing_below = 0.15;
/// Chosen: so many are played again at the end, so much longer.
constexpr auto finalists_max = std::size_t{6};
constexpr auto final_replays = std::uint32_t{3};
/// Chosen, in percent: a third of what a mean of six runs of openb differs by.
constexpr auto simpler_worth = 0.005;
/// Chosen: the search stays where single precision tells scores apart.
constexpr auto weight_most = 50.0;
/// Seeds of replays that no candidate was chosen by.
constexpr auto judging_seeds = std::uint64_t{1} << 32;
constexpr auto choosing_seeds = std::uint64_t{1} << 33;

double mean(std::span<const double> x) {
  return x.empty() ? 0 : std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

double deviation(std::span<const double> x) {
  auto square = 0.0;
  for (const auto each : x)
    square += (each - mean(x)) * (each - mean(x));
  return x.size() > 1 ? std::sqrt(square / static_cast<double>(x.size() - 1)) : 0;
}

/// A weight as it is written down: what is judged is what the file says.
float rounded(double x) {
  return static_cast<float>(std::round(x * 1000) / 1000);
}

/// Plays histories under policies, several at once; what comes out does not depend on how many.
class theatre {
public:
  theatre(std::span<const trace_node> nodes, const training_options& options) : nodes_{nodes}, options_{options} {}

  /// For each policy the allocation of each history and seed, histories outside.
  std::vector<std::vector<double>> play(std::span<const features> policies, std::span<const history> histories,
                                        std::uint64_t first_seed, std::uint32_t seeds) const {
    const auto each = histories.size() * seeds;
    auto arrivals = std::vector<std::vector<std::uint32_t>>{};
    for (const auto& x : histories)
      for (auto seed = std::uint64_t{0}; seed < seeds; ++seed)
        arrivals.push_back(trace_arrivals(x.pods, nodes_, options_.demand, first_seed + seed));
    auto scores = std::vector<std::vector<double>>(policies.size(), std::vector<double>(each));
    auto next = std::atomic<std::size_t>{0};
    const auto work = [&] {
      for (auto at = next++; at < each * policies.size(); at = next++) {
        const auto& pods = histories[at % each / seeds].pods;
        auto how = packing_options{};
        how.weights = policies[at / each];
        how.mix_known = false;
        scores[at / each][at % each] =
            packing_allocation(pods, nodes_, run_packing(pods, nodes_, arrivals[at % each], how).decisions);
      }
    };
    auto others = std::vector<std::jthread>{};
    for (auto i = 1u; i < options_.threads; ++i)
      others.emplace_back(work);
    work();
    others.clear();
    return scores;
  }

private:
  std::span<const trace_node> nodes_;
  const training_options& options_;
};

std::string weights_in_words(const features& weights, std::span<const feature> of) {
  auto text = std::string{};
  for (const auto x : of)
    text += fmt::format("{}{}={:g}", text.empty() ? "" : " ", to_string(x), weights[x]);
  return text;
}

std::string digest_of(std::span<const history> seen, std::span<const trace_node> nodes) {
  auto text = std::string{};
  for (const auto& x : nodes)
    text += fmt::format("{},{},{},{}\n", x.cpu_milli, x.memory_mib, x.gpus, x.model);
  for (const auto& x : seen)
    for (const auto& pod : x.pods)
      text += fmt::format("{},{},{},{},{}\n", pod.cpu_milli, pod.memory_mib, pod.gpus, pod.gpu_milli, pod.models);
  return host::to_hex(host::sha256(text));
}

std::vector<judgement> judge(const theatre& stage, std::span<const history> unseen, const features& ours,
                             const features& theirs, std::uint32_t runs) {
  const auto scores = stage.play(std::array{ours, theirs}, unseen, judging_seeds, runs);
  auto judged = std::vector<judgement>{};
  for (auto i = std::size_t{0}; i < unseen.size(); ++i) {
    const auto of = [&](std::size_t who) { return std::span{scores[who]}.subspan(i * runs, runs); };
    judged.push_back({unseen[i].name, mean(of(0)), mean(of(1)), deviation(of(1))});
  }
  return judged;
}

judgement overall_of(std::span<const judgement> judged) {
  auto all = judgement{"all", 0, 0, 0};
  for (const auto& x : judged) {
    all.score += x.score / static_cast<double>(judged.size());
    all.against += x.against / static_cast<double>(judged.size());
    all.deviation += x.deviation / static_cast<double>(judged.size());
  }
  return all;
}

/// Half of a history each, by turns in an order that has nothing to do with how it was recorded.
std::pair<history, history> halves(const history& x) {
  auto order = std::vector<std::size_t>(x.pods.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto chance = std::mt19937_64{x.pods.size()};
  for (auto i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[chance() % i]);
  auto parts = std::pair<history, history>{{x.name + " (one half)", {}}, {x.name + " (the other half)", {}}};
  for (auto i = std::size_t{0}; i < order.size(); ++i)
    (i % 2 == 0 ? parts.first : parts.second).pods.push_back(x.pods[order[i]]);
  return parts;
}

history read_history(const std::string& file) {
  auto found = history{std::filesystem::path{file}.filename().string(), {}};
  try {
    found.pods = parse_trace_pods(host::read_unpacked(file));
  } catch (const std::exception& wrong) {
    throw std::runtime_error{file + ": " + wrong.what()};
  }
  return found;
}

} // namespace

judgement learned_policy::overall() const {
  return overall_of(judged);
}

judgement learned_policy::overall_best() const {
  return overall_of(judged_best);
}

bool surpasses(std::span<const judgement> judged) {
  const auto all = overall_of(judged);
  return !judged.empty() && all.score > all.against + all.deviation &&
         std::ranges::all_of(judged, [](const auto& x) { return x.score >= x.against - x.deviation; });
}

std::vector<feature> learnable(std::span<const history> seen, std::span<const trace_node> nodes) {
  auto found = std::vector<feature>{room, evenness};
  const auto with = std::ranges::count_if(nodes, [](const auto& x) { return x.gpus > 0; });
  const auto wanted = std::ranges::any_of(seen, [](const auto& x) {
    return std::ranges::any_of(x.pods, [](const auto& pod) { return pod.gpu_total() > 0; });
  });
  if (with > 0 && with < std::ranges::ssize(nodes))
    found.push_back(reserve);
  if (with > 0 && wanted)
    found.insert(found.end(), {whole, usable, starved, idle});
  return found;
}

learned_policy learn_policy(std::span<const history> seen, std::span<const history> unseen,
                            std::span<const trace_node> nodes, const training_options& options,
                            const std::function<void(const std::string&)>& tell) {
  if (seen.empty() || unseen.empty() || options.replays == 0 || options.judgements < 2)
    throw std::runtime_error{"there must be something to learn from and something else to judge on, each replayed"};
  const auto names = policy_names();
  const auto against = policy_weights(options.against);
  if (!against)
    throw std::runtime_error{
        fmt::format("there is no policy called {} to surpass; there are {}", options.against, fmt::join(names, ", "))};
  const auto begin = clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(clock::now() - begin).count(); };
  const auto stage = theatre{nodes, options};
  const auto axes = learnable(seen, nodes);
  const auto base = *policy_weights("balance");
  const auto weights_at = [&](const evolution::point& at) {
    auto weights = base;
    for (auto i = std::size_t{0}; i < axes.size(); ++i)
      weights[axes[i]] = std::abs(at[i]) < nothing_below ? 0 : rounded(std::clamp(at[i], -weight_most, weight_most));
    return weights;
  };
  const auto point_of = [&](const features& weights) {
    auto at = evolution::point{};
    for (const auto x : axes)
      at.push_back(static_cast<double>(weights[x]));
    return at;
  };
  // The policies that there are show where it is worth to begin.
  auto tried = std::vector<std::pair<double, features>>{};
  const auto fitness_of = [&](const std::vector<features>& policies) {
    auto fitness = std::vector<double>{};
    for (const auto& scores : stage.play(policies, seen, options.seed, options.replays))
      tried.emplace_back(fitness.emplace_back(mean(scores)), policies[fitness.size() - 1]);
    return fitness;
  };
  auto known = std::vector<features>{};
  for (const auto& name : names)
    known.push_back(weights_at(point_of(*policy_weights(name))));
  const auto known_fitness = fitness_of(known);
  const auto best_known = static_cast<std::size_t>(std::ranges::max_element(known_fitness) - known_fitness.begin());
  tell(fmt::format("begins at {}: {:.2f} %, {:.1f} s", names[best_known], known_fitness[best_known], spent()));
  // Chosen: about what the weights of the policies that there are differ by.
  auto search =
      evolution{point_of(known[best_known]), evolution::point(axes.size(), 0.3), options.seed * 0x9e3779b97f4a7c15};
  for (auto generation = 1u; generation <= options.generations && spent() < options.seconds; ++generation) {
    auto candidates = std::vector<features>{};
    for (const auto& at : search.ask())
      candidates.push_back(weights_at(at));
    const auto fitness = fitness_of(candidates);
    search.tell(fitness);
    tell(fmt::format("generation {} of {}: best {:.3f} %, mean {:.3f} %, reach {:.2f}, {:.1f} s", generation,
                     options.generations, std::ranges::max(fitness), mean(fitness), search.reach(), spent()));
  }
  fitness_of({weights_at(search.middle())});
  // The best of many is partly the luckiest: a few are played again, longer and under other seeds.
  std::ranges::stable_sort(tried, [](const auto& a, const auto& b) { return a.first > b.first; });
  auto finalists = std::vector<features>{known[best_known], weights_at(search.middle())};
  for (const auto& [score, weights] : tried)
    if (finalists.size() < finalists_max && std::ranges::find(finalists, weights) == finalists.end())
      finalists.push_back(weights);
  const auto play_long = [&](const std::vector<features>& policies) {
    auto means = std::vector<double>{};
    for (const auto& scores : stage.play(policies, seen, choosing_seeds, final_replays * options.replays))
      means.push_back(mean(scores));
    return means;
  };
  const auto final_scores = play_long(finalists);
  const auto first = static_cast<std::size_t>(std::ranges::max_element(final_scores) - final_scores.begin());
  auto found = learned_policy{};
  found.weights = finalists[first];
  auto best = final_scores[first];
  // What can be left as it was without loss did not help: on what is unseen it would only add chance.
  for (const auto axis : axes) {
    auto simpler = found.weights;
    simpler[axis] = known[best_known][axis];
    if (simpler == found.weights)
      continue;
    if (const auto score = play_long({simpler}).front(); score >= best - simpler_worth) {
      found.weights = simpler;
      best = std::max(best, score);
    }
  }
  tell(fmt::format("chosen: {} ({:.3f} % on what it learned from)", weights_in_words(found.weights, axes), best));
  found.digest = digest_of(seen, nodes);
  found.against = options.against;
  found.best_known = names[best_known];
  found.runs = options.judgements * static_cast<std::uint32_t>(unseen.size());
  found.judged = judge(stage, unseen, found.weights, *against, options.judgements);
  found.judged_best = judge(stage, unseen, found.weights, *policy_weights(names[best_known]), options.judgements);
  return found;
}

learned_policy learn_policy(const training_options& options, const std::function<void(const std::string&)>& tell) {
  auto nodes = std::vector<trace_node>{};
  try {
    nodes = parse_trace_nodes(host::read_unpacked(options.nodes));
  } catch (const std::exception& wrong) {
    throw std::runtime_error{options.nodes + ": " + wrong.what()};
  }
  auto seen = std::vector<history>{};
  for (const auto& file : options.history)
    seen.push_back(read_history(file));
  auto unseen = std::vector<history>{};
  for (const auto& file : options.held_out)
    unseen.push_back(read_history(file));
  if (unseen.empty() && seen.size() > 1) {
    unseen.push_back(std::move(seen.back()));
    seen.pop_back();
  } else if (unseen.empty() && seen.size() == 1) {
    auto [one, other] = halves(seen.front());
    seen = {std::move(one)};
    unseen.push_back(std::move(other));
  }
  for (const auto& x : unseen)
    tell("held out: " + x.name);
  return learn_policy(seen, unseen, nodes, options, tell);
}

std::string model_text(const learned_policy& x) {
  const auto all = x.overall();
  auto text =
      std::string{"# Weights of placement, learned by `novacron policy train`; `novacron policy set NAME --model=FILE` "
                  "puts them to use.\n"};
  text += fmt::format("format = 1\nhistory = \"{}\"\nagainst = \"{}\"\nscore = {:.4f}\nscore_against = {:.4f}\n"
                      "deviation = {:.4f}\nruns = {}\n\n[weights]\n",
                      x.digest, x.against, all.score, all.against, all.deviation, x.runs);
  for (auto i = std::size_t{0}; i < feature_count; ++i)
    text += fmt::format("{} = {}\n", to_string(static_cast<feature>(i)), x.weights[i]);
  return text;
}

} // namespace novacron::scheduler
