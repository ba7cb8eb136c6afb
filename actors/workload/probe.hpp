#pragma once

/// Asks an instance whether it is well: a TCP or HTTP server in it, or a command.

#include "actors/host/loop.hpp"
#include "actors/workload/driver.hpp"
#include "messages/vocabulary.hpp"

#include <cstdint>
#include <functional>
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

/// As `check` says: by a command that `by` runs in the instance, or at its port, of this host unless `reach` says where
/// else the instance is reached.
void probe_instance(host::loop& loop, driver& by, const std::string& name, const wire::HealthCheck& check,
                    const std::function<void(probe_target&)>& reach, then<> done);

} // namespace novacron::workload
