#pragma once

/// Tells CAF the types that may travel between nodes, from the list in `messages/list.hpp`.

#include "messages/fault.hpp"
#include "messages/inspect.hpp"
#include "messages/list.hpp"
#include "messages/wire/agent.pb.h"
#include "messages/wire/cache.pb.h"
#include "messages/wire/common.pb.h"
#include "messages/wire/function.pb.h"
#include "messages/wire/ledger.pb.h"
#include "messages/wire/node.pb.h"
#include "messages/wire/observer.pb.h"
#include "messages/wire/scheduler.pb.h"
#include "messages/wire/trust.pb.h"
#include "messages/wire/workload.pb.h"

#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

namespace novacron {
/// The language of the doors.
namespace wire = v1;

/// Is told of every change below the prefix it watches, in order, and of each change of leadership.
using ledger_watcher = caf::typed_actor<caf::reacts_to<wire::LedgerChanged>, caf::reacts_to<wire::LedgerLed>>;
} // namespace novacron

CAF_BEGIN_TYPE_ID_BLOCK(novacron, caf::first_custom_type_id)
#define NOVACRON_TYPE_ID(message, permitted) CAF_ADD_TYPE_ID(novacron, (novacron::v1::message))
NOVACRON_MESSAGES(NOVACRON_TYPE_ID)
#undef NOVACRON_TYPE_ID
CAF_ADD_TYPE_ID(novacron, (novacron::ledger_watcher))
CAF_END_TYPE_ID_BLOCK(novacron)
