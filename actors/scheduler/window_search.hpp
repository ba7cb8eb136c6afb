#pragma once

/// Finds the best places for a whole window: branch and bound where it ends in time, greedy and exchanges where not.

#include "actors/scheduler/window.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace novacron::scheduler {

/// Keeps its tables between windows; a search of twelve requests takes some ten microseconds.
class window_search {
public:
  struct result {
    double value = 0;
    /// Nothing places more.
    bool exact = false;
  };

  /// Places the requests, all known, on nodes with that much free. `held` says how many of each app run on a node
  /// already, `apps` a node, and bounds the apps of requests. Looks at `steps_max` partial placements at most.
  result solve(std::span<const window_amount> nodes, std::span<const std::uint16_t> held, std::size_t apps,
               std::span<const window_request> requests, std::uint64_t steps_max);

  /// Of the last search, in the order of its requests.
  const window_choices& choices() const { return answer_; }

private:
  struct slot {
    std::uint32_t node;
    double left;
  };

  bool admits(std::size_t node, const window_request& x) const;
  void put(std::size_t node, const window_request& x, double sign);
  void order(std::span<const window_request> requests);
  double bound(std::size_t from) const;
  bool same_node(std::size_t one, std::size_t two) const;
  void branch(std::size_t at, double value);
  void exchange();
  bool relocate(std::size_t rejected);

  std::size_t apps_ = 0;
  std::vector<window_amount> free_;
  std::vector<std::uint16_t> held_;
  window_amount scale_{};
  std::vector<std::uint32_t> order_;
  std::vector<window_request> sorted_;
  /// The request equals the one before it.
  std::vector<char> again_;
  /// The value of this request and all after it.
  std::vector<double> rest_;
  std::vector<double> weight_;
  /// Per depth, kept so that nothing is allocated on the way.
  std::vector<std::vector<slot>> slots_;
  window_choices now_;
  window_choices best_;
  window_choices answer_;
  double best_value_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t steps_max_ = 0;
};

/// All requests of the window at once, within some ten milliseconds however large it is.
window_choices place_window(const window& x);

/// The greatest value that can be placed; nothing is cut short, so only for small windows.
double window_optimum(const window& x);

} // namespace novacron::scheduler
