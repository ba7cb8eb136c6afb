#pragma once

/// Everything that helps to help: what a fabric says of itself, in one archive, without secrets.

#include "actors/shell/session.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace novacron::shell {

/// Gathers and writes the bundle of `debug bundle`.
int debug_bundle(const invocation& what, session& with);

/// JSON without what may be secret: all values of environments, arguments of commands, fields that are called like
/// secrets, and texts that look like one. What is no JSON is treated as text.
std::string without_secrets(std::string_view json);

/// Text without keys in PEM, passwords in addresses, and values behind words such as "token=".
std::string text_without_secrets(std::string_view text);

/// Files by name as a tar archive of the time `seconds`.
std::string tar_of(const std::vector<std::pair<std::string, std::string>>& files, std::int64_t seconds);

} // namespace novacron::shell
