#pragma once

/// What a move of a running instance will take, from what earlier ones took.

#include "messages/wire/scheduler.pb.h"

#include <cstdint>
#include <string>
#include <vector>

namespace novacron::scheduler {

namespace wire = novacron::v1;

/// Of the moves in `before` those count that were made, and of which it is known how much memory was in use; if there
/// are any between the same two nodes, only these. Without any it says what is usual.
wire::MoveEstimate estimate_move(std::uint64_t memory_bytes, const std::string& source, const std::string& target,
                                 const std::vector<wire::Migration>& before);

} // namespace novacron::scheduler
