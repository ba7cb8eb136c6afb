#pragma once

/// Decides after each pass of a migration what comes next: another pass, the last one with the guest stopped, or the
/// end of the attempt.

#include <cstdint>
#include <optional>
#include <string_view>

namespace novacron::migration {

struct pass_limits {
  /// Seconds that the guest may stand still.
  double downtime_max = 0.03;
  /// Of these, what goes to the devices' state and the two ends' words. Measured: 8 to 30 ms.
  double handover = 0.012;
  /// What the guest may stand still, in seconds, when its passes do not get shorter; beyond it the attempt ends.
  double downtime_forced = 0.3;
  std::uint32_t pass_max = 30;
};

/// What a pass turned out to be.
struct pass_facts {
  std::uint64_t pages = 0;
  /// On the wire.
  std::uint64_t bytes = 0;
  double seconds = 0;
};

enum class next_pass : std::uint8_t {
  /// With the guest running.
  more,
  /// With the guest stopped.
  last,
  /// The guest writes faster than the link carries.
  outrun,
};

std::string_view name(next_pass x);

class pass_planner {
public:
  explicit pass_planner(const pass_limits& limits) : limits_{limits} {}

  /// `done` was the last pass; `dirty` pages were written to since it began.
  next_pass after(const pass_facts& done, std::uint64_t dirty);

  /// Seconds that sending `dirty` pages would take, by what the passes so far took for each.
  double time_for(std::uint64_t dirty) const;

private:
  pass_limits limits_;
  pass_facts last_;
  std::uint32_t pass_count_ = 0;
  std::optional<std::uint64_t> dirty_before_;
  /// How many passes in a row left hardly less than the one before.
  std::uint32_t stalled_ = 0;
};

} // namespace novacron::migration
