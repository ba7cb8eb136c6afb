#pragma once

/// Moves guests between nodes: the migration room's engine over TLS between the two nodes, for the workload room.

#include "actors/host/certificate.hpp"
#include "actors/workload/guest_mover.hpp"
#include "messages/wire/scheduler.pb.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

namespace novacron::node {

namespace wire = novacron::v1;

struct guest_moving {
  std::string node;
  /// The node's data directory.
  std::filesystem::path data;
  std::shared_ptr<const host::deny_list> denied;
  /// Has the scheduler decide, and blocks until it has: true when it is as asked, false when it is otherwise. Throws
  /// once a stop is requested.
  std::function<bool(const wire::SettleMove&, std::stop_token)> decide;
};

/// Ends what is under way when it ends: guests that stand still and of which it is not known where they run stay so,
/// for the next life of this process to find out.
std::shared_ptr<workload::guest_mover> make_guest_mover(guest_moving settings);

} // namespace novacron::node
