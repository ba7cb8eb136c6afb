#pragma once

/// Puts the weights of a learned policy to the test before they decide anything, whatever the file they came in says.

#include "actors/scheduler/placement.hpp"
#include "actors/scheduler/trace.hpp"
#include "messages/wire/scheduler.pb.h"

#include <span>
#include <string>

namespace novacron::scheduler {

/// What two policies make of small made-up clusters that are asked for more than they have, in percent of what is
/// scarce.
struct trial_score {
  double with_gpus = 0;
  double without_gpus = 0;
};
trial_score trial_of(const features& weights);

/// Why a policy is not to be used, in words; empty when all is well. Of one that was written down by hand only that its
/// weights make sense is asked; one that was learned must have surpassed what it was judged beside, must leave alone
/// what no replay shows, and must not fall behind "balance" on trial.
std::string wrong_policy_record(const v1::Policy& x);

/// The same of what a policy makes of nodes as they are and requests as they came: it must not fall behind "balance"
/// however they are mixed. Some thousand decisions; a part of the nodes stands for many. Empty also where nothing can
/// be said.
std::string wrong_in_use(const features& weights, std::span<const trace_node> nodes, std::span<const trace_pod> pods);

} // namespace novacron::scheduler
