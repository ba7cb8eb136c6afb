#pragma once

/// Faults drawn from a chance: which, when, where and for how long. Known before the first one strikes.

#include "actors/simulation/network.hpp"
#include "actors/simulation/parcel.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace novacron::simulation {

enum class fault_kind : std::uint8_t {
  cut,
  cut_one_way,
  crash,
  kill,
  slow,
  stuck,
  full_disk,
  skew,
  loss,
  doubling,
  delay
};
std::string_view to_string(fault_kind x);
const std::vector<fault_kind>& all_fault_kinds();

/// One fault: from `begin` for `length` on `whom`; for those of the network also against `other`.
struct strike {
  fault_kind what = fault_kind::cut;
  moment begin{0};
  moment length{0};
  host_number whom = 0;
  /// The rest of the world when it is the same host.
  host_number other = 0;
  bool torn = false;
  std::int64_t amount = 0;
  /// Its place among the faults of this run, by which it is left out.
  std::uint32_t number = 0;
};

/// What a kind of weather is like.
struct climate {
  std::string_view name;
  /// Faults per hour, in a fabric of any size.
  double per_hour = 0;
  moment length_max{0};
  std::vector<fault_kind> kinds;
};
const std::vector<climate>& climates();
const climate* find_climate(std::string_view name);

/// Draws the faults of `length` of that weather over `hosts` hosts. Each seed has only some kinds of faults (swarm
/// testing: Groce et al., 2012), so that those that hide others are sometimes away.
/// The hosts that vote are hit more often than others: they are few, and matter most.
std::vector<strike> draw_weather(const climate& what, std::uint64_t seed, moment length, host_number hosts,
                                 const std::vector<host_number>& voters, std::uint32_t first_number);

} // namespace novacron::simulation
