#pragma once

/// Says before a migration how long it will take and how long the guest will stand still, and which stage is the
/// slowest.

#include "actors/migration/coding.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace novacron::migration {

/// A guest, as sampled and measured before the start. Shares are of all its pages.
struct guest_profile {
  double memory = 0;
  double uniform_share = 0;
  /// Pages whose content another page has already.
  double duplicate_share = 0;
  /// Bytes that become dirty per second, and how many of them there are at most.
  double dirty_rate = 0;
  double dirty_size = 0;
  /// Bytes that are sent of a page that was written to. Measured: 45 to 90 where most writes are a word.
  double delta_bytes = 90;
  /// Pages that were looked at for all this.
  std::uint64_t sample_count = 0;
};

/// What one core does, bytes of pages per second, and what moving the device state takes.
struct stage_rates {
  /// Looking at a page, its hash included, and copying it.
  double scan_rate = 0;
  double copy_rate = 0;
  /// Finding the dirty pages. Measured: 0.3 to 0.9 ms for 512 MiB.
  double table_rate = 0;
  /// Seconds with the guest stopped that do not depend on its size. Measured: 8 to 30 ms with 210 KB of device state.
  double handover = 0.015;
};

struct prediction_order {
  guest_profile guest;
  stage_rates rates;
  coding_budget budget;
  double downtime_max = 0.03;
  std::uint32_t pass_max = 30;
};

struct stage {
  std::string name;
  /// Bytes of guest memory per second that it lets through, and the time it would take alone.
  double rate = 0;
  double seconds = 0;
};

struct migration_prediction {
  /// Seconds.
  double duration = 0;
  double downtime = 0;
  std::uint32_t pass_count = 0;
  /// Whether the guest dirties its memory slower than the link carries it away.
  bool converges = true;
  std::uint16_t stream_count = 1;
  /// Bytes of one frame: what a stream carries away in a quarter of the longest standstill.
  std::uint64_t chunk_size = 0;
  block_coding coding = block_coding::raw;
  double wire_bytes = 0;
  /// Bytes of guest memory over bytes on the wire, of the first pass.
  double ratio = 1;
  /// Half the width of the interval that holds the duration nine times of ten, over the duration; grows as the sample
  /// shrinks.
  double spread = 0;
  /// Of the first pass, in the order that the bytes take.
  std::vector<stage> stages;
  std::string bottleneck;
};

/// What it takes to look at all of a guest once in a given time.
struct hardware {
  double source_cores = 0;
  double target_cores = 0;
  /// Bytes per second.
  double link_rate = 0;
};

hardware hardware_for(double seconds, const prediction_order& order, const coding_cost& cost);

/// `costs` as for choose(). Rates of zero mean that a stage costs nothing.
migration_prediction predict(const prediction_order& order, std::span<const coding_cost> costs);

} // namespace novacron::migration
