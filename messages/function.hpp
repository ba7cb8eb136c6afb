#pragma once

/// Functions are called here, and as many instances of them wanted as their calls need.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

#include <cstddef>

namespace novacron {

/// What a call may bring and what it may be answered, at most. Chosen: with what JSON makes of it, it still fits a
/// message.
inline constexpr auto call_bytes_max = std::size_t{512} << 10;

/// On the node whose ledger leads; elsewhere everything is answered with not_leader.
using function_actor = caf::typed_actor<caf::replies_to<wire::Invoke>::with<wire::Invoked>,
                                        caf::replies_to<wire::FunctionListRequest>::with<wire::FunctionList>,
                                        caf::reacts_to<wire::LedgerChanged>, caf::reacts_to<wire::LedgerLed>>;

} // namespace novacron
