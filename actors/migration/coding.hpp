#pragma once

/// How a migration's bytes are made smaller, and what each way costs: chosen from what was measured.

#include "actors/migration/page_frame.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace novacron::migration {

/// One way to code blocks, as measured on this guest's content or, before that, by the bench.
struct coding_cost {
  block_coding coding = block_coding::raw;
  /// Bytes of pages per second of one core.
  double encode_rate = 0;
  double decode_rate = 0;
  /// Bytes of pages over bytes of blocks; 1 or more.
  double ratio = 1;
};

std::string_view name(block_coding x);
/// "none", "lz4", "zstd".
std::optional<block_coding> read_coding(std::string_view text);

/// What the two ends can spend on it.
struct coding_budget {
  /// Bytes per second.
  double link_rate = 0;
  double source_cores = 1;
  double target_cores = 1;
};

/// Bytes of pages per second that get through: the slowest of encoder, link and decoder.
double throughput(const coding_cost& cost, const coding_budget& budget);

/// The one that lets most through; of equals the first, so the cheaper stand before the dearer. There is at least one.
const coding_cost& choose(std::span<const coding_cost> costs, const coding_budget& budget);

/// Keeps what is under way on the wire short enough for the last pass: bytes, by the measured rate.
class rate_governor {
public:
  /// `patience` is how long what is under way may take, in seconds. Measured: a fixed window of 4 MB cost a third of
  /// the throughput at 200 Mbit/s, and no bound at all made the last pass wait for seconds of backlog.
  explicit rate_governor(double patience = 0.03, double rate_max = 0) : patience_{patience}, rate_max_{rate_max} {}

  /// So many bytes were acknowledged in so many seconds; no time says nothing.
  void acknowledge(std::uint64_t bytes, double seconds);
  /// How many bytes may be under way, where it takes `latency` seconds until the first of them is acknowledged.
  std::uint64_t window(double latency = 0) const;
  /// Bytes per second; 0 before anything was acknowledged.
  double rate() const { return rate_; }

private:
  double patience_;
  double rate_max_;
  double rate_ = 0;
};

/// Enough to keep a fast link busy until the first acknowledgement, and some frames at any rate: an end that is kept
/// from its processor for a few ms would otherwise be measured as a slow link, and given less.
inline constexpr auto window_first = std::uint64_t{1} << 20;
inline constexpr auto window_min = std::uint64_t{512} << 10;

} // namespace novacron::migration
