#pragma once

/// Plans which instances should move to other nodes, a few at a time, so that no node ever holds more than it has.

#include "actors/scheduler/placement.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace novacron::scheduler {

/// An instance that may be moved; the cluster holds its room under `key`.
struct movable {
  std::string key;
  /// What it asked for; `home` plays no part.
  request wants;
  /// It moves while it runs; otherwise it is started anew.
  bool live = false;
};

struct rebalance_limits {
  std::size_t moves_max = 10;
  /// Moves under way at the same time.
  std::size_t at_once = 2;
  /// How much better the new place must score. Below it a move costs more than it brings; a restart needs twice as
  /// much.
  double gain_min = 0.05;
};

struct planned_move {
  std::string key;
  std::string source;
  std::string target;
  std::vector<std::uint32_t> gpus;
  bool live = false;
  /// The node where it is may not keep it: drained, or a rule that it breaks there.
  bool must_leave = false;
  double gain = 0;
  /// Moves of one wave run side by side; the next begins when all have ended.
  std::size_t wave = 0;
};

/// The best move first, each instance once. During a wave what moves is held on both nodes, and a node that was left
/// has its room back only afterwards. What must leave goes before what would be better off elsewhere. Who has no node
/// to go to stays. The cluster is used up.
std::vector<planned_move> plan_rebalance(cluster&& now, std::span<const movable> instances,
                                         const rebalance_limits& limits);

} // namespace novacron::scheduler
