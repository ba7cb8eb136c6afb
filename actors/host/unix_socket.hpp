#pragma once

/// Unix sockets by directory and name, however long the directory's path is: a socket's own name has 108 bytes at most.

#include <filesystem>
#include <string>

namespace novacron::host {

/// Connects to a socket; `flags` go to socket(2). -1, with errno, when nobody listens there.
int connect_in(const std::filesystem::path& directory, const std::string& name, int flags = 0);
/// Listens at a new socket for one who connects. -1, with errno, when it cannot.
int listen_in(const std::filesystem::path& directory, const std::string& name, int flags = 0);

} // namespace novacron::host
