#pragma once

/// What door and link cost: requests through them beside a bare pair of actors over the same TLS transport.

#include "actors/host/figures.hpp"

namespace novacron::node {

struct bench_messages_options {
  /// Rounds of each measurement; ours and the peer's alternate. Rates are means, times are medians of all rounds.
  unsigned rounds = 40;
  double seconds_each = 0.08;
  /// Requests under way at a time when rates are measured.
  unsigned outstanding = 64;
};

/// Figures remote_rate, remote_p50, remote_p99, local_rate, local_p50.
std::vector<host::figure> bench_messages(const bench_messages_options& options = {});

} // namespace novacron::node
