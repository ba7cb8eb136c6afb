#pragma once

/// Work as a trace recorded it: jobs that come at their time, run as long as they ran, and end.

#include "actors/scheduler/trace.hpp"
#include "actors/simulation/agenda.hpp"
#include "messages/wire/workload.pb.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace novacron::simulation {

namespace wire = novacron::v1;

struct traced_job {
  /// Since the beginning of the trace.
  moment begin{0};
  /// How long it was there; it runs that long from its start on.
  moment length{0};
  /// A batch workload with an image of its own name.
  wire::WorkloadSpec spec;
};

struct replay_options {
  /// So many times faster than it was: everything comes sooner and takes less long.
  std::uint32_t speed = 1;
  /// Where in the trace it begins: what is there already comes at once, and stays for what is left of its time.
  moment from{0};
  /// No more than the first of them.
  std::size_t limit = SIZE_MAX;
};

/// In the order in which they came. Pods of a trace without times are left out.
std::vector<traced_job> jobs_of(std::span<const scheduler::trace_pod> pods, const replay_options& options);

} // namespace novacron::simulation
