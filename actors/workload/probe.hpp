#pragma once

/// Asks a TCP or HTTP server whether it is there.

#include "actors/host/loop.hpp"
#include "actors/workload/outcome.hpp"
#include "messages/vocabulary.hpp"

#include <cstdint>
#include <string>

namespace novacron::workload {

struct probe_target {
  std::string address;
  std::uint16_t port = 0;
  /// Empty asks only for a connection; else the answer to GET must have a status from 200 to 399.
  std::string http_path;
  duration timeout = std::chrono::seconds{1};
};

/// Answers once, on the loop's thread, at the latest after the timeout.
void probe(host::loop& loop, const probe_target& target, then<> done);

} // namespace novacron::workload
