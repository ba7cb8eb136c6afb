#pragma once

/// What a node offers to workloads: as configured, else as found on its host.

#include "actors/node/configuration.hpp"
#include "messages/wire/common.pb.h"

namespace novacron::node {

/// What this host has for us: the cpus this process may use and what its cgroup allows, its memory, the free space
/// around `data_dir`, and its NVIDIA GPUs.
v1::Resources find_capacity(const std::filesystem::path& data_dir);

/// `found`, with everything that was said put in its place.
v1::Resources capacity(const resource_settings& said, v1::Resources found);

} // namespace novacron::node
