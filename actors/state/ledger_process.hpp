#pragma once

/// Keeps the ledger's process alive: starts it, starts it again when it ends, gives up when that happens too often.

#include "actors/state/ledger_server.hpp"
#include "messages/vocabulary.hpp"

#include <functional>
#include <memory>

namespace novacron::ledger {

class ledger_process {
public:
  struct config {
    std::vector<std::string> program;
    server_options server;
    /// More starts than this within the period are given up.
    std::uint32_t starts_max = 30;
    duration starts_period = std::chrono::seconds{60};
    /// Between an end and the next start; doubled with each start in the period, up to the longest.
    duration wait_min = std::chrono::milliseconds{20};
    duration wait_max = std::chrono::seconds{2};
  };

  /// `gave_up` is called at most once, on a thread of its own, with how the process ended last.
  ledger_process(config settings, std::function<void(const std::string& why)> gave_up);
  /// Ends the process and waits until it is gone.
  ~ledger_process();
  ledger_process(const ledger_process&) = delete;
  ledger_process& operator=(const ledger_process&) = delete;

  std::uint64_t starts() const;
  /// Of the process now, -1 between two.
  int pid() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::ledger
