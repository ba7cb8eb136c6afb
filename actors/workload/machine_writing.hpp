#pragma once

/// Has a machine write down how it is, to be a template or a checkpoint.

#include "actors/workload/machine.hpp"
#include "messages/vocabulary.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

namespace novacron::workload {

struct writing_order {
  /// Of the machine.
  std::filesystem::path directory;
  bool with_memory = false;
  std::uint64_t bytes_max = 0;
  duration patience = std::chrono::minutes{1};
  /// Takes what is written, piece by piece; may throw.
  std::function<void(std::string_view)> take;
  /// Called again and again; throws when it is to be given up.
  std::function<void()> check;
};

/// Blocks until all is written; the machine stands still then, until it is told to go on. One that is to go on as it
/// was with its memory has to be paused before: QEMU 7.2 loses sight of pages that are written to meanwhile where the
/// guest is translated (seen in one of seven: the guest's kernel had lists that were no lists any more). Throws
/// std::runtime_error that says why it could not; then the machine goes on, if there is one.
void write_machine(machine_control& control, const writing_order& order);

} // namespace novacron::workload
