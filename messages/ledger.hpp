#pragma once

/// The ledger keeps the truth of the fabric. Each command is acknowledged only when a majority has it on disk.

#include "messages/registry.hpp"

#include <caf/typed_actor.hpp>

namespace novacron {

using ledger_actor = caf::typed_actor<caf::replies_to<wire::LedgerCommand>::with<wire::LedgerApplied>,
                                      caf::replies_to<wire::LedgerRead>::with<wire::LedgerEntries>,
                                      caf::replies_to<wire::LedgerWatch, ledger_watcher>::with<wire::LedgerEntries>,
                                      caf::replies_to<wire::LedgerStatusRequest>::with<wire::LedgerStatus>,
                                      caf::replies_to<wire::LedgerAdd>::with<wire::LedgerApplied>,
                                      caf::replies_to<wire::LedgerRemove>::with<wire::LedgerApplied>,
                                      caf::replies_to<wire::LedgerSnapshotRequest>::with<wire::LedgerApplied>,
                                      caf::replies_to<wire::LedgerBackup>::with<wire::LedgerApplied>,
                                      caf::replies_to<wire::LedgerRestore>::with<wire::LedgerApplied>>;

} // namespace novacron
