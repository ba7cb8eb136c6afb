#pragma once

/// Measures how long batch jobs of a Standard Workload Format trace are held up, by the published protocol.

#include "actors/host/figures.hpp"

#include <string>
#include <vector>

namespace novacron::scheduler {

/// slowdown, slowdown_backfilled (ours without and with backfilling; peer: shortest job first by the published rules),
/// slowdown_conservative, and first_come and first_come_backfilled by the published rules, from which one sees that
/// the jobs are the same. `file` may be packed with gzip.
std::vector<host::figure> bench_batch(const std::string& file);

} // namespace novacron::scheduler
