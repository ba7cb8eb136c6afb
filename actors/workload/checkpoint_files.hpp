#pragma once

/// A checkpoint as files, and what a machine has of it in its own directory until it has begun from it.

#include "actors/workload/checkpoint.hpp"
#include "actors/workload/template_files.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace novacron::workload {

/// In the directory of a checkpoint:
///
///     state        of its machine, memory included
///     root.disk    what it had written over its image
///     base.disk    the disk of its image, shared
///     checkpoint   what it is, and checksums; written last
constexpr auto checkpoint_state_file = "state";

/// How much of the disk a file has.
std::uint64_t allocated_bytes(const std::filesystem::path& file);

/// A copy that is not written through to the original; where the file system can, they share what they have in common.
/// Holes stay holes. Throws std::system_error.
void copy_disk(const std::filesystem::path& from, const std::filesystem::path& to);

/// Sums up the files in `directory`, brings all of it to the disk and then says that it is whole. Throws
/// std::system_error.
void write_checkpoint(const std::filesystem::path& directory, checkpoint_facts& facts);

/// What `directory` says that it holds; nothing when it does not hold a whole one.
std::optional<checkpoint_facts> read_checkpoint(const std::filesystem::path& directory);

/// Looks at every byte; what is damaged, in words, or empty.
std::string find_damage(const std::filesystem::path& directory, const checkpoint_facts& facts);

/// Has the machine in `place` begin from the checkpoint `facts` in `directory` when it is started next. What it has is
/// left alone. Throws std::system_error.
void plant_checkpoint(const std::filesystem::path& directory, const checkpoint_facts& facts,
                      const std::filesystem::path& place);

/// From what it shall begin.
struct planted_checkpoint {
  std::string name;
  /// The instance that it was.
  std::string instance;
};
std::optional<planted_checkpoint> planted_in(const std::filesystem::path& place);

/// Gives the machine the disks as they were, and returns its state. Throws std::system_error.
descriptor begin_from_planted(const std::filesystem::path& place);

/// It runs: from now on it begins with what it has. The second time that does nothing.
void forget_planted(const std::filesystem::path& place);

} // namespace novacron::workload
