#pragma once

/// The library that is loaded into QEMU before itself so that its guest can be moved; carried inside this program.

#include <filesystem>

namespace novacron::migration {

/// Writes it into the directory, unless it is there already; returns its path. Throws std::system_error.
std::filesystem::path write_watch_library(const std::filesystem::path& directory);

} // namespace novacron::migration
