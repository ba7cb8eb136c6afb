#pragma once

/// The benches of the scheduler's searches: reassignment, windows of requests, batch queues.

#include "actors/host/figures.hpp"
#include "actors/shell/parse.hpp"

#include <optional>
#include <vector>

namespace novacron::node {

/// What --reassign=MODEL,ASSIGNMENT, --window=FILE or --swf=FILE asks for; nothing without one of them.
std::optional<std::vector<host::figure>> bench_decisions(const shell::invocation& flags);

} // namespace novacron::node
