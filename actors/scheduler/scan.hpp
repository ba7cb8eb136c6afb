#pragma once

/// Scores every node for one kind of request: loops over columns, for the widest vectors that the processor has.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace novacron::scheduler {

/// One value per node each, all of equal length. Amounts are rounded to floats: that keeps their order, so no node that
/// has room is missed; whether the best one really has room is checked exactly afterwards.
struct node_columns {
  const float* cpu_free = nullptr;
  const float* memory_free = nullptr;
  const float* disk_free = nullptr;
  /// One over the capacity, 0 where there is none.
  const float* cpu_unit = nullptr;
  const float* memory_unit = nullptr;
  const float* gpu_unit = nullptr;
  /// How crowded a node is by the number of its guests, 1 for as many as it should have.
  const float* crowd = nullptr;
  /// The most that one request can get: the fullest share, or all whole devices. Read only for requests with GPUs.
  const float* gpu_room = nullptr;
  const float* gpu_free = nullptr;
  /// What the expected requests would lose; null when it has no weight.
  const float* loss = nullptr;
};

/// What a kind of request needs, and what its policy weighs.
struct scan_question {
  float cpu = 0;
  float memory = 0;
  float disk = 0;
  float gpu = 0;
  float room = 0;
  float evenness = 0;
  /// Added on nodes with and without GPUs.
  float with_gpus = 0;
  float without_gpus = 0;
  float loss = 0;
};

/// Which loops are meant; `best` is what the processor can do.
enum class vector_width : std::uint8_t { scalar, baseline, avx2, avx512, best };

/// Whether this processor can run them.
bool can_run(vector_width width);
/// "avx512": the widest that this processor can run.
std::string_view widest();

/// The scores of the nodes `from` to `to`, minus infinity where there is no room. Every width finds the same bits.
void score_nodes(const node_columns& nodes, const scan_question& x, std::size_t from, std::size_t to, float* scores,
                 vector_width width = vector_width::best);

/// The sum of all that scoring a request without GPUs reads: the plainest pass, that a scan is measured against.
float sum_nodes(const node_columns& nodes, std::size_t from, std::size_t to, vector_width width = vector_width::best);

/// Which of at most 64 scores may reach `bar`, one bit each: each with `bonus`, its own adjustment (null: none) and
/// `most` added, in that order.
std::uint64_t reaching(std::span<const float> scores, const float* adjust, float bonus, float most, float bar);

/// The greatest of each 64 scores; the last block may be shorter.
void greatest_of_blocks(std::span<const float> scores, std::span<float> greatest);

} // namespace novacron::scheduler
