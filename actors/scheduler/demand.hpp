#pragma once

/// Translates what people ask for and what nodes say into what placement understands.

#include "actors/scheduler/placement.hpp"
#include "messages/wire/node.pb.h"
#include "messages/wire/scheduler.pb.h"
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
v1::FunctionRules with_defaults(v1::FunctionRules rules);

/// As many instances of a function as its rules allow.
std::uint32_t within(const v1::FunctionRules& rules, std::uint32_t instances);

/// The taints of a node as placement knows them.
std::vector<taint> to_taints(const v1::NodeRecord& record);
/// What a taint does by its word, empty for "refuse"; none when there is no such effect.
std::optional<taint_effect> to_effect(std::string_view word);

/// What makes no sense in `spec`, in words; empty when all is well. `policies` are those that were written down.
std::string what_is_wrong(const v1::WorkloadSpec& spec, const std::vector<std::string>& policies = {});

/// The same of room that is to be kept.
std::string what_is_wrong(const v1::Reservation& x);

/// The weights of a policy that was written down.
features to_features(const v1::Policy& x);
/// And the other way round.
v1::Policy to_policy(const std::string& name, const features& weights);
/// What makes no sense in the weights of a policy, in words; empty when all is well.
std::string wrong_weights(const v1::Policy& x);

/// Whether `name` is `[a-z0-9]([-a-z0-9]*[a-z0-9])?` of at most 63 characters.
bool is_name(std::string_view name);

} // namespace novacron::scheduler
