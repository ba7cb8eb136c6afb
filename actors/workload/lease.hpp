#pragma once

/// The node's right to run what another node may take over: a file that this process renews and every shim watches.

#include "messages/vocabulary.hpp"

#include <filesystem>
#include <memory>

namespace novacron::workload {

/// Time since the boot of this host, sleep included: the clock of leases, and the same one in the next life.
duration since_boot();

/// Where the lease of the node with that data directory is.
std::filesystem::path lease_file(const std::filesystem::path& data);

class lease {
public:
  virtual ~lease() = default;
  /// When something was sent that a controller has answered, by the time since boot; zero for never.
  [[nodiscard]] virtual duration confirmed() const = 0;
  virtual void confirm(duration sent) = 0;
};

/// Opens the lease of this host, or makes one. What another boot noted counts as never. Throws std::system_error.
///
/// To confirm it costs a store to memory. The kernel writes it to the disk when it likes: after a crash of the host
/// there is nobody left whom it would concern.
std::shared_ptr<lease> open_lease(const std::filesystem::path& data);

} // namespace novacron::workload
