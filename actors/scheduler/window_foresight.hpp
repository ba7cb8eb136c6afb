#pragma once

/// Places the requests of a window one at a time, the future unknown, by trying each choice on sampled futures.

#include "actors/scheduler/window_search.hpp"

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace novacron::scheduler {

struct foresight_options {
  /// Futures per decision; fewer where windows are large, so that a decision stays within some hundredths of a second.
  /// With none the fullest node is taken: best fit.
  std::size_t futures = 300;
  /// Requests that are remembered; the oldest make room.
  std::size_t memory = 4096;
  std::uint64_t seed = 1;
};

/// What comes is drawn from what came before, in this window and in earlier ones. Every choice meets the same futures,
/// and each future is completed as well as can be: the choice is taken that places most on average and is the best, or
/// as good, in most futures. Leaving a request out is a choice, too.
class window_foresight {
public:
  explicit window_foresight(const foresight_options& options = {});

  /// A window with those free nodes begins; so many requests will come.
  void begin(std::span<const window_amount> nodes, std::size_t requests);

  /// The node for the next request, -1 for none.
  std::int32_t place(const window_request& x);

private:
  std::vector<std::int32_t> candidates(const window_request& x) const;
  std::int32_t tightest(const std::vector<std::int32_t>& nodes) const;
  std::int32_t best(const std::vector<std::int32_t>& nodes, const window_request& x);
  double outcome(std::int32_t node, const window_request& x, std::uint64_t steps);
  void remember(const window_request& x);
  window_request draw_one();
  void draw();
  void lay_held(const window_request& x);
  void take(std::size_t node, const window_request& x);
  bool admits(std::size_t node, const window_request& x) const;

  struct guest {
    std::size_t node;
    std::uint32_t app;
    std::int32_t cap;
  };

  foresight_options options_;
  std::mt19937_64 chance_;
  window_search search_;
  std::vector<window_request> past_;
  std::size_t oldest_ = 0;
  /// The value of all that is remembered.
  double worth_ = 0;

  std::vector<window_amount> free_;
  std::vector<guest> guests_;
  window_amount scale_{};
  std::size_t left_ = 0;

  /// One future, its apps numbered anew, and how many of each run where.
  std::vector<window_request> future_;
  std::vector<std::uint32_t> apps_;
  std::vector<std::uint16_t> held_;
};

/// The whole window, one request after the other.
window_choices place_one_by_one(window_foresight& by, const window& x);

} // namespace novacron::scheduler
