#pragma once

/// Learns the weights of a placement policy from traces, and judges them on traces that they were not learned from.

#include "actors/scheduler/placement.hpp"
#include "actors/scheduler/trace.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace novacron::scheduler {

struct training_options {
  /// Files of pods as `bench scheduler --pods` takes them, and of the nodes that they all ran on.
  std::vector<std::string> history;
  std::string nodes;
  /// What the outcome is judged on. Empty: the last file of the history, or half of the pods of a single one.
  std::vector<std::string> held_out;
  /// The policy that is to be surpassed.
  std::string against = "balance";
  double demand = 1.3;
  std::uint32_t generations = 20;
  /// No further generation is begun after that; then a seed gives one answer only on machines of one speed.
  double seconds = 600;
  /// Replays of each file per candidate, and of each judged file at the end.
  std::uint32_t replays = 2;
  std::uint32_t judgements = 10;
  std::uint32_t threads = 2;
  std::uint64_t seed = 1;
};

/// Pods, by the name of their file.
struct history {
  std::string name;
  std::vector<trace_pod> pods;
};

/// What two policies made of one history, in percent of what is scarce: means over replays, and by how much those of
/// the one that is to be surpassed differ.
struct judgement {
  std::string name;
  double score = 0;
  double against = 0;
  double deviation = 0;
};

struct learned_policy {
  features weights{};
  /// Of all that it was learned from, in hex.
  std::string digest;
  std::string against;
  /// The best of the policies that were there before.
  std::string best_known;
  std::uint32_t runs = 0;
  /// On each history that it was not learned from: beside `against`, and beside the best one known.
  std::vector<judgement> judged;
  std::vector<judgement> judged_best;

  /// Means over what was judged.
  judgement overall() const;
  judgement overall_best() const;
};

/// Better by more than its default's runs differ from one another, and on no history worse by that.
bool surpasses(std::span<const judgement> judged);

/// The features that a replay on these nodes shows anything of; a learned policy keeps the others as "balance" has
/// them.
std::vector<feature> learnable(std::span<const history> seen, std::span<const trace_node> nodes);

/// Told are lines of progress. Throws when there is nothing to learn from.
learned_policy learn_policy(std::span<const history> seen, std::span<const history> unseen,
                            std::span<const trace_node> nodes, const training_options& options,
                            const std::function<void(const std::string&)>& tell);

/// The same from files.
learned_policy learn_policy(const training_options& options, const std::function<void(const std::string&)>& tell);

/// The file that `policy set NAME --model=FILE` takes.
std::string model_text(const learned_policy& x);

} // namespace novacron::scheduler
