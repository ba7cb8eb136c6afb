#pragma once

/// How long voters wait before they elect: as long as their disks need.

#include "messages/vocabulary.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace novacron::ledger {

/// The time of an election, in writes. Candidate and voter each write down term and vote, one after the other: that is
/// four, and twice as long so that most elections end in it.
constexpr auto election_writes = 8;
/// Chosen: with a disk that is slower still, a leader that is gone must be noticed some time.
constexpr auto election_ms_max = std::uint32_t{5'000};

/// `wanted`, or more where a durable write takes so long that nobody would be elected in time.
constexpr std::uint32_t election_ms_for(std::uint32_t wanted, duration write) {
  const auto needed = std::chrono::ceil<std::chrono::milliseconds>(write).count() * election_writes;
  return std::max(wanted, static_cast<std::uint32_t>(std::clamp<std::int64_t>(needed, 0, election_ms_max)));
}

} // namespace novacron::ledger
