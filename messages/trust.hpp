#pragma once

/// The authority lets nodes into the fabric and renews their certificates.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

using authority_actor = caf::typed_actor<caf::replies_to<wire::TokenCreate>::with<wire::JoinToken>,
                                         caf::replies_to<wire::TokenListRequest>::with<wire::TokenList>,
                                         caf::replies_to<wire::CertificateRequest>::with<wire::Certificate>,
                                         caf::replies_to<wire::CertificateRevoke>::with<wire::Done>>;

} // namespace novacron
