#pragma once

/// Talks to the ledger's process over its unix socket, through disconnections and restarts of that process.

#include "messages/fault.hpp"
#include "messages/vocabulary.hpp"
#include "messages/wire/ledger.pb.h"

#include <filesystem>
#include <functional>
#include <memory>
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

/// All functions may be called from any thread; callbacks run on the client's own thread and must be short.
/// Every callback is called exactly once. A call that was not answered when the connection broke is sent again, with
/// the same (client, sequence), so that a command is applied once at most.
class client {
public:
  struct config {
    std::filesystem::path socket;
    /// How long a call may take, disconnections included; then it fails with `fault::timeout`.
    duration patience = std::chrono::seconds{5};
    /// False: calls fail with `fault::unreachable` as soon as the connection breaks, because the caller asks elsewhere.
    bool resend = true;
    /// First and longest wait between two attempts to connect; each is drawn at random up to its limit.
    duration redial_min = std::chrono::milliseconds{5};
    duration redial_max = std::chrono::milliseconds{250};
    /// More calls than this at a time are refused with `fault::overloaded`.
    std::size_t outstanding_max = 8192;
  };

  /// What the watcher is told. After each (re)connection first the whole state, then each change in order of index.
  struct watcher {
    std::function<void(const wire::LedgerEntries&)> state;
    std::function<void(const wire::LedgerChanged&)> changed;
    std::function<void(const wire::LedgerLed&)> led;
    /// The connection is gone; `state` will follow when it is back.
    std::function<void()> lost;
  };

  explicit client(config settings);
  /// Callbacks that are still owed are called with `fault::unavailable`.
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// An empty `client` is filled with this client's own name and its next sequence.
  void propose(wire::LedgerCommand command, answered<wire::LedgerApplied> done);
  void read(const wire::LedgerRead& what, answered<wire::LedgerEntries> done);
  void status(answered<wire::LedgerStatus> done);
  void add(const wire::LedgerAdd& what, answered<wire::LedgerApplied> done);
  void remove(const wire::LedgerRemove& what, answered<wire::LedgerApplied> done);
  void snapshot(answered<wire::LedgerApplied> done);
  void backup(const wire::LedgerBackup& what, answered<wire::LedgerApplied> done);
  void restore(const wire::LedgerRestore& what, answered<wire::LedgerApplied> done);

  /// At most one watcher; its prefix is "".
  void watch(watcher who);

  bool connected() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::ledger
