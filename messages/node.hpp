#pragma once

/// The door of a node, and the news of its links.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

/// Is told when peers come and go.
using link_watcher = caf::typed_actor<caf::reacts_to<wire::NodeArrived>,
                                      caf::reacts_to<wire::NodeDeparted>>;

/// The one actor that a node publishes. Hello and Proof introduce a peer (the handle is the peer's own door);
/// after Welcome the peer may resolve the names of actors here.
using door_actor = caf::typed_actor<caf::replies_to<wire::Hello, caf::actor>::with<wire::Challenge>,
                                    caf::replies_to<wire::Proof>::with<wire::Welcome>,
                                    caf::replies_to<wire::Resolve>::with<caf::actor>,
                                    caf::replies_to<wire::Beat>::with<wire::Beat>,
                                    caf::replies_to<wire::HealthRequest>::with<wire::Health>,
                                    caf::replies_to<wire::LinkListRequest>::with<wire::LinkList>,
                                    caf::replies_to<wire::Shutdown>::with<wire::Done>>;

} // namespace novacron
