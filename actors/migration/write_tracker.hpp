#pragma once

/// Follows what a process writes to its guest's memory, by the write protection of its page table.

#include "actors/migration/dirty_tracker.hpp"

#include <sys/types.h>

#include <memory>
#include <string>

namespace novacron::migration {

/// The process was started with our library before QEMU (LD_PRELOAD), which opened a userfaultfd in it; all else is
/// done from here. Sees what the process itself and its processors write, not what other processes or devices do. Ends
/// the tracking when it goes. Throws migration_error, or std::system_error, with what is missing.
std::unique_ptr<dirty_tracker> track_writes(pid_t pid);

/// Why writes cannot be followed on this host, in words; empty if they can.
std::string tracking_lack();

} // namespace novacron::migration
