#pragma once

/// Files that are replaced whole or not at all, and read with a limit.

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace novacron::host {

/// Replaces `path` with `content` so that a crash leaves the old file or the new one, both readable. The new file has
/// `mode` from its first byte on. Throws std::system_error that names the file.
void write_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode = 0644);

/// The content of `path`; nothing when it does not exist. Throws std::system_error when it cannot be read or is larger
/// than `bytes_max`.
std::optional<std::string> read_small_file(const std::filesystem::path& path, std::size_t bytes_max = 1u << 20);

} // namespace novacron::host
