#include "actors/scheduler/bench_batch.hpp"

#include "actors/host/gzip.hpp"
#include "actors/scheduler/batch_queue.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

namespace novacron::scheduler {

std::vector<host::figure> bench_batch(const std::string& file) {
  constexpr auto length = std::size_t{1024};
  constexpr auto count = std::size_t{10};
  const auto trace = read_batch_trace(host::read_unpacked(file));
  const auto samples = published_samples(trace.jobs.size(), length, count);
  const auto mean = [&](queue_order order, backfilling fill) {
    auto sum = 0.0;
    for (const auto at : samples) {
      const auto jobs = std::span{trace.jobs}.subspan(at, std::min(length, trace.jobs.size() - at));
      sum += bounded_slowdown(jobs, start_times(jobs, trace.processors, order, fill));
    }
    return sum / static_cast<double>(samples.size());
  };
  return {host::beside("slowdown", mean(queue_order::slowdown, backfilling::none), "1", "shortest job first",
                       mean(queue_order::shortest, backfilling::none)),
          host::beside("slowdown_backfilled", mean(queue_order::slowdown, backfilling::easy), "1", "shortest job first",
                       mean(queue_order::shortest, backfilling::passing)),
          {"slowdown_conservative", mean(queue_order::slowdown, backfilling::conservative), "1"},
          {"first_come", mean(queue_order::first_come, backfilling::none), "1"},
          {"first_come_backfilled", mean(queue_order::first_come, backfilling::passing), "1"}};
}

} // namespace novacron::scheduler
