#pragma once

/// How much of something passed in the busiest second.

#include "actors/simulation/agenda.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace novacron::simulation {

class busiest_second {
public:
  /// From now on; `count` is what passed before.
  void begin(moment now, std::uint64_t count) {
    since_ = now;
    before_ = count;
    most_ = 0;
  }
  /// To be called every second with what has passed since ever; a longer while counts by its mean.
  void look(moment now, std::uint64_t count) {
    const auto seconds = std::chrono::duration<double>(now - since_).count();
    if (seconds <= 0)
      return;
    most_ = std::max(most_, static_cast<double>(count - before_) / std::max(1.0, seconds));
    since_ = now;
    before_ = count;
  }
  double most() const { return most_; }

private:
  moment since_{0};
  std::uint64_t before_ = 0;
  double most_ = 0;
};

} // namespace novacron::simulation
