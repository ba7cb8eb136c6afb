#pragma once

/// Sees what a process brings to disk, and in which order: nothing else shows what a loss of power would leave.

#include <filesystem>
#include <functional>

namespace novacron::spec {

/// While it lives, `seen` gets the path of all that is synced, before that is done, on the thread that does it. One at
/// a time.
class sync_witness {
public:
  explicit sync_witness(std::function<void(const std::filesystem::path&)> seen);
  ~sync_witness();
  sync_witness(const sync_witness&) = delete;
  sync_witness& operator=(const sync_witness&) = delete;
};

} // namespace novacron::spec
