/// Loaded into QEMU before itself (LD_PRELOAD): opens the userfaultfd by which a migration follows the guest's writes.
/// It has to be opened in the process whose memory it watches, and before that process forbids itself the call; all
/// else is done from outside, with a borrowed descriptor. While no migration runs it costs the guest nothing.

#include "actors/migration/watch/features.hpp"

namespace {

[[gnu::constructor]] void open_early() {
  novacron::migration::watch::open_watch();
}

} // namespace
