#include "actors/scheduler/rebalance.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <queue>
#include <tuple>
#include <utility>

namespace novacron::scheduler {
namespace {

/// What holds the room of a mover at its target until it has arrived; no instance is called so.
std::string arriving(const std::string& key) {
  return "arriving/" + key;
}

class planner {
public:
  planner(cluster&& now, std::span<const movable> instances, const rebalance_limits& limits)
      : later_{now}, now_{std::move(now)}, instances_{instances}, limits_{limits} {}

  std::vector<planned_move> plan() {
    for (auto i = std::size_t{0}; i < instances_.size(); ++i)
      push(i);
    // Gains mostly shrink as others move: the greatest that is still true after a second look is the greatest.
    while (!open_.empty() && moves_.size() < limits_.moves_max) {
      const auto [must_leave, gain, last] = open_.top();
      open_.pop();
      const auto at = instances_.size() - last;
      const auto move = weigh(at);
      if (!move)
        continue;
      const auto again = rank(*move, at);
      if (!open_.empty() && again < open_.top())
        open_.push(again);
      else
        take(*move, at);
    }
    return std::move(moves_);
  }

private:
  /// Must leave, gain, and the first of the list among equals.
  using ranked = std::tuple<bool, double, std::size_t>;

  ranked rank(const planned_move& x, std::size_t at) const { return {x.must_leave, x.gain, instances_.size() - at}; }

  void push(std::size_t at) {
    if (const auto move = weigh(at))
      open_.push(rank(*move, at));
  }

  /// The best move of this instance as things stand, with its own room given back.
  std::optional<planned_move> weigh(std::size_t at) {
    const auto& x = instances_[at];
    const auto* held = now_.find_hold(x.key);
    if (held == nullptr)
      return {};
    const auto* source = now_.find_node(held->node);
    if (source == nullptr || source->state == node_state::lost)
      return {};
    const auto kept = *held;
    auto wants = x.wants;
    wants.home.clear();
    now_.release(x.key);
    const auto found = now_.place(wants);
    now_.take(x.key, kept);
    if (!found || found->node == kept.node)
      return {};
    const auto own = *later_.find_hold(x.key);
    later_.release(x.key);
    const auto stays = later_.score_on(wants, kept.node);
    const auto comes = later_.score_on(wants, found->node);
    later_.take(x.key, own);
    auto move = planned_move{x.key, kept.node, found->node, found->gpus, x.live};
    move.must_leave = !stays;
    move.gain = comes.value_or(found->score) - stays.value_or(0);
    if (!move.must_leave && move.gain < limits_.gain_min * (x.live ? 1 : 2))
      return {};
    return move;
  }

  void take(planned_move move, std::size_t at) {
    auto there = *now_.find_hold(move.key);
    there.node = move.target;
    there.gpus = move.gpus;
    now_.take(arriving(move.key), there);
    later_.take(move.key, there);
    move.wave = wave_;
    moves_.push_back(move);
    moving_.push_back({at, std::move(there)});
    if (moving_.size() >= std::max<std::size_t>(1, limits_.at_once))
      arrive();
  }

  /// The wave has ended; what found no room before may find some now.
  void arrive() {
    for (const auto& [at, there] : moving_) {
      const auto& key = instances_[at].key;
      now_.release(arriving(key));
      now_.release(key);
      now_.take(key, there);
      moved_.push_back(at);
    }
    moving_.clear();
    ++wave_;
    open_ = {};
    for (auto i = std::size_t{0}; i < instances_.size(); ++i)
      if (!std::ranges::binary_search(sorted(), i))
        push(i);
  }

  const std::vector<std::size_t>& sorted() {
    std::ranges::sort(moved_);
    return moved_;
  }

  /// When all moves have come to their end: what is gained is gained then.
  cluster later_;
  /// While they are under way.
  cluster now_;
  std::span<const movable> instances_;
  rebalance_limits limits_;
  std::priority_queue<ranked> open_;
  std::vector<std::pair<std::size_t, hold>> moving_;
  std::vector<std::size_t> moved_;
  std::vector<planned_move> moves_;
  std::size_t wave_ = 0;
};

} // namespace

std::vector<planned_move> plan_rebalance(cluster&& now, std::span<const movable> instances,
                                         const rebalance_limits& limits) {
  return planner{std::move(now), instances, limits}.plan();
}

} // namespace novacron::scheduler
