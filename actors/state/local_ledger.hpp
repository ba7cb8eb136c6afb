#pragma once

/// The node's own voter as its ledger actor speaks to it: a process beside it, or one of the virtual world.

#include "messages/fault.hpp"
#include "messages/wire/ledger.pb.h"

#include <functional>
#include <string>

namespace novacron::ledger {

namespace wire = v1;

/// A value, or why there is none.
template <class T>
struct answer {
  T value;
  bool ok = false;
  fault kind = fault::unspecified;
  std::string text;
  /// Who leads, when the fault is `not_leader` and it is known.
  std::string leader;
};

template <class T>
using answered = std::function<void(answer<T>)>;

/// Every callback is called exactly once, on any thread.
class local_ledger {
public:
  /// What the watcher is told. After each (re)connection first the whole state, then each change in order of index.
  struct watcher {
    std::function<void(const wire::LedgerEntries&)> state;
    std::function<void(const wire::LedgerChanged&)> changed;
    std::function<void(const wire::LedgerLed&)> led;
    /// The connection is gone; `state` will follow when it is back.
    std::function<void()> lost;
  };

  virtual ~local_ledger() = default;
  virtual void propose(wire::LedgerCommand command, answered<wire::LedgerApplied> done) = 0;
  virtual void read(const wire::LedgerRead& what, answered<wire::LedgerEntries> done) = 0;
  virtual void status(answered<wire::LedgerStatus> done) = 0;
  virtual void add(const wire::LedgerAdd& what, answered<wire::LedgerApplied> done) = 0;
  virtual void remove(const wire::LedgerRemove& what, answered<wire::LedgerApplied> done) = 0;
  virtual void snapshot(answered<wire::LedgerApplied> done) = 0;
  virtual void backup(const wire::LedgerBackup& what, answered<wire::LedgerApplied> done) = 0;
  virtual void restore(const wire::LedgerRestore& what, answered<wire::LedgerApplied> done) = 0;
  /// At most one watcher; its prefix is "".
  virtual void watch(watcher who) = 0;
  virtual bool connected() const = 0;
};

} // namespace novacron::ledger
