#pragma once

/// Backups: one checksummed file each, written and read beside the loop.

#include "actors/state/records.hpp"

#include <filesystem>
#include <functional>
#include <string>

struct uv_loop_s;

namespace novacron::ledger {

struct backup_file {
  records content;
  /// Who restores it: the same for the same file, so that an interrupted restoration can be done again.
  std::string client;
  std::string problem;
};

/// `told` gets what went wrong, empty when the file is whole and on disk. An existing file is replaced at the end.
void write_backup(uv_loop_s* loop, const std::filesystem::path& path, std::string snapshot,
                  std::function<void(const std::string& problem)> told);
void read_backup(uv_loop_s* loop, const std::filesystem::path& path, std::function<void(backup_file)> told);

/// The same without a loop.
std::string write_backup_now(const std::filesystem::path& path, const std::string& snapshot);
backup_file read_backup_now(const std::filesystem::path& path);

} // namespace novacron::ledger
