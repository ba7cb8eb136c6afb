#pragma once

/// Which coding the next batch of a stream gets: the link and the processor are watched while the migration goes on.

#include "actors/migration/coding.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace novacron::migration {

/// How blocks are coded: zstd at a level, the others without one.
struct coding_step {
  block_coding coding = block_coding::raw;
  int level = 0;
  bool operator==(const coding_step&) const = default;
};

/// From the cheapest to the smallest.
inline constexpr auto coding_steps = std::array<coding_step, 7>{{{block_coding::raw, 0},
                                                                 {block_coding::lz4, 0},
                                                                 {block_coding::zstd, 1},
                                                                 {block_coding::zstd, 3},
                                                                 {block_coding::zstd, 5},
                                                                 {block_coding::zstd, 7},
                                                                 {block_coding::zstd, 9}}};

/// What a batch turned out to be. Seconds are those that passed, so that other work on the same cores counts.
struct batch_facts {
  /// Bytes of the pages that went into blocks, and of the blocks.
  std::uint64_t block_pages = 0;
  std::uint64_t block_bytes = 0;
  double encode_seconds = 0;
  /// Bytes per second that the link carries; 0 while nothing is known.
  double link_rate = 0;
};

class ladder {
public:
  /// Always that one, where it is given.
  explicit ladder(std::optional<block_coding> fixed = {});

  coding_step step() const { return coding_steps[step_]; }
  void learn(const batch_facts& x);
  /// What is believed of each step now.
  std::array<coding_cost, coding_steps.size()> costs() const;

private:
  void choose_step();

  std::size_t low_ = 0;
  std::size_t high_ = coding_steps.size() - 1;
  std::size_t step_ = 1;
  /// This processor and this guest, over what was measured elsewhere.
  double speed_ = 1;
  /// Seconds of batches as they were believed to take, and as they took: the late ones weigh more.
  double seconds_believed_ = 0;
  double seconds_taken_ = 0;
  double density_ = 1;
  double link_ = 0;
};

} // namespace novacron::migration
