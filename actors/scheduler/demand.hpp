#pragma once

/// Translates what people ask for and what nodes say into what placement understands.

#include "actors/scheduler/placement.hpp"
#include "messages/wire/node.pb.h"
#include "messages/wire/workload.pb.h"

namespace novacron::scheduler {

amount to_amount(const v1::Resources& x);
v1::Resources to_resources(const amount& x);
node_shape to_shape(const v1::NodeFacts& facts, node_state state);
request to_request(const v1::WorkloadSpec& spec);
hold to_hold(const v1::WorkloadSpec& spec, const std::string& node, std::vector<std::uint32_t> gpus);

/// "container", "batch": the kind in the words of people.
std::string kind_name(v1::WorkloadKind kind);
/// "running": the phase in the words of people.
std::string phase_name(v1::Phase phase);

/// Fills what was left open with what it means: one replica, one completion, ...
v1::WorkloadSpec with_defaults(v1::WorkloadSpec spec);

/// What makes no sense in `spec`, in words; empty when all is well.
std::string what_is_wrong(const v1::WorkloadSpec& spec);

/// Whether `name` is `[a-z0-9]([-a-z0-9]*[a-z0-9])?` of at most 63 characters.
bool is_name(std::string_view name);

} // namespace novacron::scheduler
