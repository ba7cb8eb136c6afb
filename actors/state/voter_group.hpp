#pragma once

/// Voters as processes on this machine, for benches and specs: started, killed, stopped, asked.

#include "actors/host/loop.hpp"
#include "actors/host/process.hpp"
#include "actors/state/ledger_client.hpp"
#include "actors/state/ledger_server.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace novacron::ledger {

/// Voters are numbered from 0 and called "voter-1", "voter-2", ... All functions but `propose` and `read` are for one
/// thread.
class voter_group {
public:
  struct config {
    std::vector<std::string> program;
    std::filesystem::path directory;
    /// Of each voter, below this; empty means plain TCP.
    std::filesystem::path trust;
    std::size_t count = 3;
    /// Everything but names, places and bootstrap.
    server_options server;
  };

  explicit voter_group(config settings);
  /// Kills what runs.
  ~voter_group();

  std::string name(std::size_t voter) const { return "voter-" + std::to_string(voter + 1); }
  std::filesystem::path home(std::size_t voter) const;
  server_options options(std::size_t voter) const;

  void start(std::size_t voter);
  /// Starts the first, and adds the others to it; throws std::runtime_error when they do not come together in time.
  void start_all();
  void kill(std::size_t voter, int signal);
  /// Waits until a killed one is gone.
  void reap(std::size_t voter);
  bool running(std::size_t voter) const { return processes_[voter].has_value(); }

  client& of(std::size_t voter) { return *clients_[voter]; }
  wire::LedgerStatus status(std::size_t voter, duration limit = std::chrono::seconds{2});
  /// The voter that says it leads.
  std::optional<std::size_t> leader(duration limit);
  answer<wire::LedgerApplied> add(std::size_t voter, duration limit);

  /// Asks until somebody did it, with the same (client, sequence) each time. `hint` is where the last leader was.
  answer<wire::LedgerApplied> propose(wire::LedgerCommand command, duration limit, std::size_t& hint);
  answer<wire::LedgerEntries> read(const std::string& key, duration limit, std::size_t& hint);

private:
  config settings_;
  std::vector<std::string> addresses_;
  std::vector<std::optional<host::child>> processes_;
  std::vector<std::unique_ptr<client>> clients_;
};

/// A command of one operation.
wire::LedgerCommand put(const std::string& key, const std::string& value);

} // namespace novacron::ledger
