#pragma once

/// A template as files, and in memory that nobody can change, from which clones begin.

#include "actors/workload/descriptor.hpp"
#include "actors/workload/machine.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace novacron::workload {

/// What is known of a template without looking into it.
struct template_facts {
  std::string key;
  std::string tenant;
  bool small = false;
  bool network = false;
  std::uint32_t cpus = 1;
  /// Of its guest, and what it takes on the disk (and as much in memory while clones of it begin).
  std::uint64_t memory_bytes = 0;
  std::uint64_t bytes = 0;
  std::int64_t made_ms = 0;
  /// The rate of the processor's time stamps that its guest counts with.
  std::uint64_t stamp_khz = 0;
};

/// One that clones can begin from.
struct ready_template {
  template_facts facts;
  /// Sealed: whoever has the descriptor can read it, and map it as his own, but not change it.
  descriptor memory;
  descriptor state;
};

/// Memory for a guest, all of it zeros. Throws std::system_error.
descriptor make_guest_memory(std::uint64_t bytes);

/// Writes the template into `directory`, which must be there; says how many bytes that took. Not whole until it
/// returns. Throws std::system_error.
std::uint64_t write_template(const std::filesystem::path& directory, const template_facts& facts, int memory,
                             std::string_view state);

/// What `directory` says that it holds; nothing when it does not hold a whole template.
std::optional<template_facts> read_facts(const std::filesystem::path& directory);

/// Brings it into memory, and looks at every byte. Throws std::runtime_error that says what is damaged, or
/// std::system_error.
std::shared_ptr<const ready_template> load_template(const std::filesystem::path& directory);

/// Its state, read from the beginning by whoever gets this. Throws std::system_error.
descriptor open_state(const ready_template& from);

/// Memory with the same content, for one that needs its own. Throws std::system_error.
descriptor copy_memory(const ready_template& from);

} // namespace novacron::workload
