#include "actors/scheduler/scan.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#ifdef __x86_64__
#include <emmintrin.h>
#endif

#ifdef __clang__
// A product and a sum in one step round differently from two: no width may do that on its own.
#pragma STDC FP_CONTRACT OFF
#endif

namespace novacron::scheduler {
namespace {

#ifdef __clang__
#define NOVACRON_SCALAR
#define NOVACRON_VECTORS
#else
// gcc contracts unless it is told not to, vectorizes only what is very cheap at -O2, and no comparison as long as one
// might trap or was sunk behind another.
#define NOVACRON_SCALAR , optimize("fp-contract=off", "no-tree-vectorize")
#define NOVACRON_VECTORS , optimize("O3", "fp-contract=off", "no-trapping-math", "no-tree-sink")
#endif

constexpr auto nothing = -std::numeric_limits<float>::infinity();

// Without branches and with a single comparison that decides on room: that is what compilers make vectors of.
template <bool Gpus, bool Loss>
[[gnu::always_inline]] inline void score_loop(const node_columns& nodes, const scan_question& x, std::size_t from,
                                              std::size_t to, float* __restrict scores) {
  const auto* __restrict cpu_free = nodes.cpu_free;
  const auto* __restrict memory_free = nodes.memory_free;
  const auto* __restrict disk_free = nodes.disk_free;
  const auto* __restrict cpu_unit = nodes.cpu_unit;
  const auto* __restrict memory_unit = nodes.memory_unit;
  const auto* __restrict gpu_unit = nodes.gpu_unit;
  const auto* __restrict crowd = nodes.crowd;
  const auto* __restrict gpu_room = nodes.gpu_room;
  const auto* __restrict gpu_free = nodes.gpu_free;
  const auto* __restrict loss = nodes.loss;
  const auto q = x;
  for (auto i = from; i < to; ++i) {
    const auto cpu_left = cpu_free[i] - q.cpu;
    const auto memory_left = memory_free[i] - q.memory;
    const auto disk_left = disk_free[i] - q.disk;
    const auto cpu = 1 - cpu_left * cpu_unit[i];
    const auto memory = 1 - memory_left * memory_unit[i];
    auto taken = cpu > crowd[i] ? cpu : crowd[i];
    taken = memory > taken ? memory : taken;
    auto least = cpu_left < memory_left ? cpu_left : memory_left;
    least = disk_left < least ? disk_left : least;
    if constexpr (Gpus) {
      const auto gpu = 1 - (gpu_free[i] - q.gpu) * gpu_unit[i];
      const auto gpu_left = gpu_room[i] - q.gpu;
      taken = gpu > taken ? gpu : taken;
      least = gpu_left < least ? gpu_left : least;
    }
    auto left = 1 - taken;
    left = left > 0 ? left : 0;
    auto even = 1 - std::fabs(cpu - memory);
    even = even > 0 ? even : 0;
    auto score = q.room * left + q.evenness * even + (gpu_unit[i] > 0 ? q.with_gpus : q.without_gpus);
    if constexpr (Loss)
      score = score + q.loss * loss[i];
    scores[i] = least < 0 ? nothing : score;
  }
}

[[gnu::always_inline]] inline void score_any(const node_columns& nodes, const scan_question& x, std::size_t from,
                                             std::size_t to, float* scores) {
  if (x.gpu > 0)
    nodes.loss ? score_loop<true, true>(nodes, x, from, to, scores)
               : score_loop<true, false>(nodes, x, from, to, scores);
  else
    nodes.loss ? score_loop<false, true>(nodes, x, from, to, scores)
               : score_loop<false, false>(nodes, x, from, to, scores);
}

[[gnu::always_inline]] inline float sum_any(const node_columns& nodes, std::size_t from, std::size_t to) {
  constexpr auto lanes = std::size_t{16};
  float sums[lanes] = {};
  auto at = from;
  for (; at + lanes <= to; at += lanes)
    for (auto lane = std::size_t{0}; lane < lanes; ++lane)
      sums[lane] += nodes.cpu_free[at + lane] + nodes.memory_free[at + lane] + nodes.disk_free[at + lane] +
                    nodes.cpu_unit[at + lane] + nodes.memory_unit[at + lane] + nodes.gpu_unit[at + lane] +
                    nodes.crowd[at + lane];
  auto sum = 0.0f;
  for (const auto each : sums)
    sum += each;
  for (; at < to; ++at)
    sum += nodes.cpu_free[at] + nodes.memory_free[at] + nodes.disk_free[at] + nodes.cpu_unit[at] +
           nodes.memory_unit[at] + nodes.gpu_unit[at] + nodes.crowd[at];
  return sum;
}

using scorer = void (*)(const node_columns&, const scan_question&, std::size_t, std::size_t, float*);

__attribute__((noinline NOVACRON_SCALAR)) void score_scalar(const node_columns& nodes, const scan_question& x,
                                                            std::size_t from, std::size_t to, float* scores) {
  score_any(nodes, x, from, to, scores);
}

// SSE on x86-64, NEON on arm64: what the compiler may take for granted.
__attribute__((noinline NOVACRON_VECTORS)) void score_baseline(const node_columns& nodes, const scan_question& x,
                                                               std::size_t from, std::size_t to, float* scores) {
  score_any(nodes, x, from, to, scores);
}

#ifdef __x86_64__
__attribute__((noinline, target("avx2") NOVACRON_VECTORS)) void
score_avx2(const node_columns& nodes, const scan_question& x, std::size_t from, std::size_t to, float* scores) {
  score_any(nodes, x, from, to, scores);
}

__attribute__((noinline, target("avx512f,avx512vl,avx512bw,avx512dq") NOVACRON_VECTORS)) void
score_avx512(const node_columns& nodes, const scan_question& x, std::size_t from, std::size_t to, float* scores) {
  score_any(nodes, x, from, to, scores);
}
#endif

__attribute__((noinline NOVACRON_VECTORS)) float sum_baseline(const node_columns& nodes, std::size_t from,
                                                              std::size_t to) {
  return sum_any(nodes, from, to);
}

#ifdef __x86_64__
__attribute__((noinline, target("avx2") NOVACRON_VECTORS)) float sum_avx2(const node_columns& nodes, std::size_t from,
                                                                          std::size_t to) {
  return sum_any(nodes, from, to);
}

__attribute__((noinline, target("avx512f,avx512vl,avx512bw,avx512dq") NOVACRON_VECTORS)) float
sum_avx512(const node_columns& nodes, std::size_t from, std::size_t to) {
  return sum_any(nodes, from, to);
}
#endif

scorer scorer_for(vector_width width) {
  switch (width) {
    case vector_width::scalar: return score_scalar;
#ifdef __x86_64__
    case vector_width::avx2: return score_avx2;
    case vector_width::avx512: return score_avx512;
#endif
    default: return score_baseline;
  }
}

vector_width choose() {
  for (const auto width : {vector_width::avx512, vector_width::avx2})
    if (can_run(width))
      return width;
  return vector_width::baseline;
}

} // namespace

bool can_run(vector_width width) {
#ifdef __x86_64__
  if (width == vector_width::avx2)
    return __builtin_cpu_supports("avx2");
  if (width == vector_width::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#endif
  return width != vector_width::avx2 && width != vector_width::avx512;
}

std::string_view widest() {
  constexpr auto names = std::array<std::string_view, 4>{"scalar", "baseline", "avx2", "avx512"};
  return names[static_cast<std::size_t>(choose())];
}

void score_nodes(const node_columns& nodes, const scan_question& x, std::size_t from, std::size_t to, float* scores,
                 vector_width width) {
  static const auto best = scorer_for(choose());
  (width == vector_width::best ? best : scorer_for(width))(nodes, x, from, to, scores);
}

float sum_nodes(const node_columns& nodes, std::size_t from, std::size_t to, vector_width width) {
  switch (width == vector_width::best ? choose() : width) {
    case vector_width::scalar: return sum_any(nodes, from, to);
#ifdef __x86_64__
    case vector_width::avx2: return sum_avx2(nodes, from, to);
    case vector_width::avx512: return sum_avx512(nodes, from, to);
#endif
    default: return sum_baseline(nodes, from, to);
  }
}

std::uint64_t reaching(std::span<const float> scores, const float* adjust, float bonus, float most, float bar) {
  auto found = std::uint64_t{0};
  auto i = std::size_t{0};
#ifdef __x86_64__
  for (; i + 4 <= scores.size(); i += 4) {
    auto four = _mm_add_ps(_mm_loadu_ps(scores.data() + i), _mm_set1_ps(bonus));
    if (adjust)
      four = _mm_add_ps(four, _mm_loadu_ps(adjust + i));
    four = _mm_add_ps(four, _mm_set1_ps(most));
    const auto bits = _mm_movemask_ps(_mm_cmpge_ps(four, _mm_set1_ps(bar)));
    found |= std::uint64_t{static_cast<unsigned>(bits)} << i;
  }
#endif
  for (; i < scores.size(); ++i) {
    auto score = scores[i] + bonus;
    if (adjust)
      score += adjust[i];
    found |= std::uint64_t{score + most >= bar} << i;
  }
  return found;
}

void greatest_of_blocks(std::span<const float> scores, std::span<float> greatest) {
  typedef float four __attribute__((vector_size(16)));
  for (auto block = std::size_t{0}; block < greatest.size(); ++block) {
    const auto part = scores.subspan(block * 64, std::min<std::size_t>(64, scores.size() - block * 64));
    auto best = nothing;
    auto i = std::size_t{0};
    if (part.size() == 64) {
      // Four chains of maxima: one would have to wait for itself.
      four lanes[4];
      std::memcpy(lanes, part.data(), sizeof(lanes));
      for (i = 16; i < 64; i += 16)
        for (auto chain = std::size_t{0}; chain < 4; ++chain) {
          auto next = four{};
          std::memcpy(&next, part.data() + i + 4 * chain, sizeof(next));
          lanes[chain] = next > lanes[chain] ? next : lanes[chain];
        }
      for (const auto half : {2, 1})
        for (auto chain = 0; chain < half; ++chain)
          lanes[chain] = lanes[chain + half] > lanes[chain] ? lanes[chain + half] : lanes[chain];
      best = std::max(std::max(lanes[0][0], lanes[0][1]), std::max(lanes[0][2], lanes[0][3]));
    }
    for (; i < part.size(); ++i)
      best = std::max(best, part[i]);
    greatest[block] = best;
  }
}

} // namespace novacron::scheduler
