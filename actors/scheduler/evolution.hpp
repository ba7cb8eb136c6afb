#pragma once

/// Searches for the point of greatest fitness by generations of random candidates around what was best so far.

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace novacron::scheduler {

/// The evolution strategy CMA-ES in its separable form (Ros and Hansen, 2008): the better half of a generation moves
/// the middle, and how far it moved along each axis decides how far the next candidates go along it. One seed gives one
/// search.
class evolution {
public:
  using point = std::vector<double>;

  /// `spans` is how far the first candidates go along each axis, as a standard deviation.
  evolution(point start, point spans, std::uint64_t seed);

  /// The candidates of the next generation.
  std::vector<point> ask();
  /// How good each of them was; what is no number counts as the worst.
  void tell(std::span<const double> fitness);

  const point& middle() const { return middle_; }
  /// How far candidates go now, in parts of the first spans, as a mean over the axes.
  double reach() const;

private:
  double normal();

  point middle_;
  point spans_;
  point variance_;
  point path_;
  point step_path_;
  double step_ = 1;
  std::size_t generation_ = 0;
  std::vector<point> steps_;
  std::mt19937_64 chance_;
};

} // namespace novacron::scheduler
