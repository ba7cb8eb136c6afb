#pragma once

/// What a share of a GPU is worth: the shadow prices of filling devices with a known mix of shares.

#include <array>
#include <cstdint>
#include <span>

namespace novacron::scheduler {

/// Of each size there is so much demand, in devices of work; a size is 1 to 1000 thousandths.
struct share_demand {
  std::int64_t milli = 0;
  double amount = 0;
};

/// The most that expected shares can make of the free thousandths of one device: 0 for nothing, about 1 for all of it.
using share_worth = std::array<float, 1001>;

/// Solves the linear program "fill as few devices as can be with this mix" by prices: a size whose price is too low
/// for how often the best fillings use it rises, one that they use too often falls.
share_worth worth_of_shares(std::span<const share_demand> mix);

} // namespace novacron::scheduler
