#pragma once

/// Boots a machine to where clones of it begin, and saves it there.

#include "actors/workload/template_files.hpp"
#include "messages/vocabulary.hpp"

#include <atomic>
#include <filesystem>

namespace novacron::workload {

struct making_order {
  const machine_monitor& monitor;
  /// As plan_template has it.
  const machine_plan& original;
  /// Whose key the template gets, and so on; what it takes is found out.
  template_facts facts;
  /// Empty, and its own.
  std::filesystem::path directory;
  duration patience;
  /// Once it is set the making fails soon.
  const std::atomic<bool>& stop;
};

/// Writes a template into the directory and returns how many bytes that took. Blocks for as long as a guest takes to
/// boot. Its process ends with the thread that makes it. Throws std::runtime_error or std::system_error.
std::uint64_t make_template(const making_order& order);

} // namespace novacron::workload
