#pragma once

/// Asks a TCP or HTTP server whether it is there.

#include "actors/host/loop.hpp"
#include "actors/workload/driver.hpp"
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

/// The same of a process that was started to find out: it is well if that ends with 0 within `limit`. The process ends.
void probe_process(host::loop& loop, std::shared_ptr<exec_process> process, duration limit, then<> done);

} // namespace novacron::workload
