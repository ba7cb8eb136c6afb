#pragma once

/// Reads files that may be packed with gzip.

#include <cstddef>
#include <filesystem>
#include <string>

namespace novacron::host {

/// The whole file, unpacked when it is packed. Throws when it cannot be read or is longer than `bytes_max`.
std::string read_unpacked(const std::filesystem::path& path, std::size_t bytes_max = std::size_t{1} << 30);

} // namespace novacron::host
