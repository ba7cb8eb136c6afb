#pragma once

/// Which program this is: its version, its commit and how it was built.

#include <string_view>

namespace novacron::host {

/// The version of the release that this is or will be, such as "0.1.0".
std::string_view version();

/// The commit it was built from, with "-dirty" when files had changed since; "unknown" outside a repository.
std::string_view commit();

/// How it was built: build type, compiler, sanitizers, such as "debugoptimized, gcc 12.2.0".
std::string_view build_options();

} // namespace novacron::host
