#pragma once

/// Guests that run under QEMU with their memory shared: what the engine needs of them, by their monitor.

#include "actors/migration/guest.hpp"
#include "actors/migration/guest_memory.hpp"
#include "actors/migration/monitor.hpp"

#include <sys/types.h>

#include <filesystem>
#include <memory>

namespace novacron::migration {

/// The process and its monitor's socket. Throws migration_error or std::system_error when it cannot be moved this way.
std::unique_ptr<source_guest> qemu_source(pid_t pid, const std::filesystem::path& socket);

/// Has a guest go on that stands still, whatever was under way with it. Throws migration_error.
void resume_qemu(const std::filesystem::path& socket);

/// A process that was started with `-incoming defer` and the same machine as the source's. It is killed when the guest
/// is given up.
std::unique_ptr<target_guest> qemu_target(pid_t pid, const std::filesystem::path& socket);

} // namespace novacron::migration
