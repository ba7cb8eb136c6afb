#pragma once

/// A queue of batch jobs on one pool of processors: which job starts when, by order of the queue and by backfilling.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace novacron::scheduler {

/// Times in seconds.
struct batch_job {
  std::int64_t submit = 0;
  std::int64_t run = 0;
  /// What the owner says that `run` will be; decisions see only this.
  std::int64_t estimate = 0;
  std::int64_t processors = 1;
};

struct batch_trace {
  std::int64_t processors = 0;
  /// In order of arrival.
  std::vector<batch_job> jobs;
};

/// Reads the Standard Workload Format. Jobs that never ran are left out. Throws, naming the line.
batch_trace read_batch_trace(std::string_view text);

enum class queue_order {
  first_come,
  shortest,
  /// The least estimate squared times the fourth root of the processors: an hour of waiting costs a short job more
  /// slowdown, and a short and narrow one is soon out of the way. Where no backfilling is allowed a job that fits goes
  /// before all that do not, and among those the one whose end comes with the least processor time.
  slowdown,
};

enum class backfilling {
  /// The job chosen waits until it fits, and so do all others.
  none,
  /// As the RLScheduler paper does: meanwhile those that end before it could start, in order of arrival.
  passing,
  /// The first in the queue has a reservation, chosen anew at each event; whatever does not delay it may start.
  easy,
  /// Every job has a reservation in the order of the queue.
  conservative,
};

/// When each job starts. Jobs come in order of arrival and ask for at most `processors`.
std::vector<std::int64_t> start_times(std::span<const batch_job> jobs, std::int64_t processors, queue_order order,
                                      backfilling fill);

/// The mean of max(1, (wait + run) / max(run, 10)).
double bounded_slowdown(std::span<const batch_job> jobs, std::span<const std::int64_t> starts);

/// Where ten sequences of 1024 jobs begin in the published comparison (RLScheduler, SC 2020: the generator of OpenAI's
/// gym, seed 1). The whole trace when it is too short for that.
std::vector<std::size_t> published_samples(std::size_t jobs, std::size_t length, std::size_t count);

} // namespace novacron::scheduler
