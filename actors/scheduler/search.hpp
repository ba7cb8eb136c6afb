#pragma once

/// A request made ready for the scan, for the sources of placement only.

#include "actors/scheduler/placement.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <utility>
#include <vector>

namespace novacron::scheduler {

using node_bits = std::vector<std::uint64_t>;

inline bool has_bit(const node_bits& x, std::size_t at) {
  return at / 64 < x.size() && (x[at / 64] >> (at % 64) & 1) != 0;
}

inline void clear_bit(node_bits& x, std::size_t at) {
  if (at / 64 < x.size())
    x[at / 64] &= ~(std::uint64_t{1} << (at % 64));
}

/// The models that `wanted` names, separated by `|`.
std::vector<std::string_view> models_in(std::string_view wanted);

struct cluster::search {
  const request& what;
  features weights{};
  /// Nodes that no rule forbids; room is looked at in the scan.
  node_bits open;
  /// What adds to the score of some nodes: labels that are preferred, the image, the price, other zones.
  struct bonus {
    /// Null where no node has it.
    const node_bits* where = nullptr;
    feature of = feature::prefer;
    /// Between 0 and 1, and what that adds.
    float value = 1;
    float weight = 0;
  };
  std::vector<bonus> bonuses;
  /// Those of the bonuses that were made for this request alone.
  std::list<node_bits> own_masks;
  const presence* own = nullptr;
  std::vector<slot> avoided;
  slot home = std::numeric_limits<slot>::max();
  const score_row* row = nullptr;
  /// How much the adjustment of a single node may add at most; home is looked at on its own.
  float adjust_max = 0;
  /// The slots whose adjustment is not zero.
  std::vector<slot> adjusted;
  /// Per rule of spreading, whether a domain can take one more.
  std::vector<std::vector<bool>> domain_open;
};

} // namespace novacron::scheduler
