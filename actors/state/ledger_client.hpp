#pragma once

/// Talks to the ledger's process over its unix socket, through disconnections and restarts of that process.

#include "actors/state/local_ledger.hpp"
#include "messages/vocabulary.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace novacron::ledger {

/// All functions may be called from any thread; callbacks run on the client's own thread and must be short.
/// Every callback is called exactly once. A call that was not answered when the connection broke is sent again, with
/// the same (client, sequence), so that a command is applied once at most.
class client : public local_ledger {
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

  explicit client(config settings);
  /// Callbacks that are still owed are called with `fault::unavailable`.
  ~client() override;
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// An empty `client` is filled with this client's own name and its next sequence.
  void propose(wire::LedgerCommand command, answered<wire::LedgerApplied> done) override;
  void read(const wire::LedgerRead& what, answered<wire::LedgerEntries> done) override;
  void status(answered<wire::LedgerStatus> done) override;
  void add(const wire::LedgerAdd& what, answered<wire::LedgerApplied> done) override;
  void remove(const wire::LedgerRemove& what, answered<wire::LedgerApplied> done) override;
  void snapshot(answered<wire::LedgerApplied> done) override;
  void backup(const wire::LedgerBackup& what, answered<wire::LedgerApplied> done) override;
  void restore(const wire::LedgerRestore& what, answered<wire::LedgerApplied> done) override;

  void watch(watcher who) override;

  bool connected() const override;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::ledger
