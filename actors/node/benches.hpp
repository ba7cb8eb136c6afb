#pragma once

/// The benches of the program, by area.

#include "actors/host/figures.hpp"
#include "actors/shell/parse.hpp"

#include <optional>
#include <string>
#include <vector>

namespace novacron::node {

/// Measures `area` as the flags say; nothing when there is no such bench.
std::optional<std::vector<host::figure>> bench(const std::string& area, const shell::invocation& flags, const std::string& program);

/// "ledger, messages, ...".
std::string bench_names();

} // namespace novacron::node
