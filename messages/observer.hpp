#pragma once

/// The observer shows the actors of a node, and lets people talk to them.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

using observer_actor = caf::typed_actor<caf::replies_to<wire::ActorListRequest>::with<wire::ActorList>,
                                        caf::replies_to<wire::Ask>::with<wire::Answer>,
                                        caf::replies_to<wire::TraceRequest>::with<wire::Trace>,
                                        caf::replies_to<wire::SetLogLevel>::with<wire::Done>,
                                        caf::replies_to<wire::MetricsRequest>::with<wire::Metrics>>;

} // namespace novacron
