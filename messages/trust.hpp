#pragma once

/// The authority lets nodes into the fabric and renews their certificates; each node keeps its credentials fresh.

#include "messages/node.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

/// One per controller; the one where the ledger leads is asked.
using authority_actor = caf::typed_actor<caf::replies_to<wire::TokenCreate>::with<wire::JoinToken>,
                                         caf::replies_to<wire::TokenListRequest>::with<wire::TokenList>,
                                         caf::replies_to<wire::CertificateRequest>::with<wire::Certificate>,
                                         caf::replies_to<wire::CertificateRenewal>::with<wire::Certificate>,
                                         caf::replies_to<wire::CertificateRevoke>::with<wire::Done>,
                                         caf::reacts_to<wire::NodeArrived>,
                                         caf::reacts_to<wire::NodeDeparted>,
                                         caf::reacts_to<wire::LedgerChanged>,
                                         caf::reacts_to<wire::LedgerLed>>;

/// One per node: renews its certificate while it runs, and knows which certificates are denied.
using credentials_actor = caf::typed_actor<caf::reacts_to<wire::DenyList>>;

} // namespace novacron
