#pragma once

/// Looks at this host for the doctor. Blocks for a second or two; starts children, so it runs before any actor does.

#include "actors/node/configuration.hpp"
#include "actors/node/doctor.hpp"

namespace novacron::node {

/// What is looked at for one node of the configuration; `self` may be null. Addresses of the node that is looked at are
/// tried unless `running` says that it is running on them right now.
symptoms probe(const configuration& settings, const node_settings* self, bool running);

/// Runs a guest of six instructions on KVM, in a child that is killed after two seconds.
kvm_trial try_kvm();

} // namespace novacron::node
