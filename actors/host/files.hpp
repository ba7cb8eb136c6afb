#pragma once

/// Small files: read whole, and written so that a reader sees the old content or the new one.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::host {

/// The content of the file, at most `limit` bytes of it; nothing if it cannot be read.
std::optional<std::string> read_file(const std::filesystem::path& name, std::size_t limit = 64 << 20);

/// Replaces the file by rename. A durable one survives loss of power once this returns; that costs two fsyncs.
/// Throws std::system_error when it cannot be written; the old content is still there then.
void replace_file(const std::filesystem::path& name, std::string_view content, bool durable = false);

/// Makes an earlier `replace_file` durable.
void settle_file(const std::filesystem::path& name);

/// Where a room keeps its small files: the host's disk, or one of the virtual world.
class disk {
public:
  virtual ~disk() = default;
  virtual void make_directory(const std::filesystem::path& name) = 0;
  virtual std::optional<std::string> read(const std::filesystem::path& name) = 0;
  /// As `replace_file`; throws std::system_error.
  virtual void replace(const std::filesystem::path& name, std::string_view content) = 0;
  /// As `settle_file`; throws std::system_error.
  virtual void settle(const std::filesystem::path& name) = 0;
};

/// The disk of this host.
std::shared_ptr<disk> own_disk();

} // namespace novacron::host
