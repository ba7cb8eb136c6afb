#pragma once

/// The node's right to run what another node may take over: a file that this process renews and every shim watches.

#include "messages/vocabulary.hpp"

#include <filesystem>

namespace novacron::shim {
struct lease_page;
}

namespace novacron::workload {

/// Time since the boot of this host, sleep included: the clock of leases, and the same one in the next life.
duration since_boot();

/// Where the lease of the node with that data directory is.
std::filesystem::path lease_file(const std::filesystem::path& data);

class lease {
public:
  /// Opens the lease, or makes one. What another boot noted counts as never. Throws std::system_error.
  explicit lease(const std::filesystem::path& data);
  ~lease();
  lease(const lease&) = delete;
  lease& operator=(const lease&) = delete;

  /// When something was sent that a controller has answered, by `since_boot`; zero for never.
  [[nodiscard]] duration confirmed() const;
  /// Costs a store to memory. The kernel writes it to the disk when it likes: after a crash of the host there is
  /// nobody left whom it would concern.
  void confirm(duration sent);

private:
  shim::lease_page* page_;
};

} // namespace novacron::workload
