#pragma once

/// The rules of a reassignment that bind services: apart on machines, spread over locations, near those they depend on.

#include "actors/scheduler/reassignment.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace novacron::scheduler {

/// Counts where the processes of each service run and says whether one may move. Services without a rule cost a look.
class service_rules {
public:
  /// All processes at home.
  explicit service_rules(const reassignment& problem);

  /// A process of the service runs on that machine already.
  bool crowded(std::uint32_t service, std::uint32_t machine) const {
    const auto row = kinds_[service].crowd;
    return row >= 0 && here_[static_cast<std::size_t>(row) * machines_ + machine] != 0;
  }

  /// Spread and dependencies allow the move.
  bool allows(std::uint32_t service, std::uint32_t source, std::uint32_t target) const {
    const auto& x = kinds_[service];
    return (x.spread < 0 || keeps_spread(x, source, target)) && (x.near < 0 || keeps_near(x, source, target));
  }

  /// What the greatest number of moved processes of a service becomes when one more of this service is away (1), home
  /// again (-1), or neither (0).
  std::uint32_t moved_max_after(std::uint32_t service, int change) const;
  std::uint32_t moved_max() const { return moved_max_; }

  void move(std::uint32_t service, std::uint32_t source, std::uint32_t target, int change);

private:
  struct kind {
    /// Rows of the tables below; -1 where the service has no such rule.
    std::int32_t crowd = -1;
    std::int32_t spread = -1;
    std::int32_t near = -1;
    std::uint32_t spread_min = 0;
    std::uint32_t locations = 0;
    std::uint32_t moved = 0;
    std::vector<std::uint32_t> needs;
    std::vector<std::uint32_t> needed_by;
  };

  bool keeps_spread(const kind& x, std::uint32_t source, std::uint32_t target) const;
  bool keeps_near(const kind& x, std::uint32_t source, std::uint32_t target) const;
  void arrive(kind& x, std::uint32_t machine);
  void leave(kind& x, std::uint32_t machine);
  std::uint32_t& at_location(const kind& x, std::uint32_t machine);
  std::uint32_t& at_neighbourhood(const kind& x, std::uint32_t machine);
  std::uint32_t near_count(std::uint32_t service, std::uint32_t neighbourhood) const;

  std::size_t machines_;
  std::size_t locations_ = 0;
  std::size_t neighbourhoods_ = 0;
  std::vector<std::uint32_t> location_;
  std::vector<std::uint32_t> neighbourhood_;
  std::vector<kind> kinds_;
  std::vector<std::uint8_t> here_;
  std::vector<std::uint32_t> by_location_;
  std::vector<std::uint32_t> by_neighbourhood_;
  /// How many services have that many moved processes.
  std::vector<std::uint32_t> moved_counts_;
  std::uint32_t moved_max_ = 0;
};

} // namespace novacron::scheduler
