#pragma once

/// The ledger's own process: one voter of the replicated log, serving the node on a unix socket.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace novacron::ledger {

struct server_options {
  /// The name of this node; with TLS it must be the one in its certificate.
  std::string node;
  /// Where voters reach one another, "HOST:PORT". Empty: this ledger cannot grow beyond itself.
  std::string address;
  /// Log segments and snapshots. Made when missing.
  std::filesystem::path directory;
  std::filesystem::path socket;
  /// Holds ca.pem, cert.pem and key.pem, read again when they change. Empty means plain TCP: only for specs.
  std::filesystem::path trust;
  /// Begin a ledger of one voter if there is none yet; else wait to be added to one.
  bool bootstrap = false;
  std::uint32_t election_ms = 300;
  std::uint32_t heartbeat_ms = 60;
  /// A snapshot is taken after this many entries, and half as many are kept behind it for slow voters.
  std::uint32_t snapshot_entries = 65'536;
  /// Below this much free space writes are refused and reads served. Two log segments and a snapshot must fit.
  std::uint64_t free_bytes_min = 32u << 20;
  std::uint64_t segment_bytes = 8u << 20;
};

/// The arguments after the program name and "ledger-server" that `ledger_server_main(argc, argv)` understands.
std::vector<std::string> arguments_of(const server_options& options);

/// Reads what `arguments_of` wrote and serves until SIGTERM or SIGINT. Returns the exit code: 0 asked to end,
/// 1 the directory or socket cannot be used, 2 arguments are wrong, 75 must be started again.
int ledger_server_main(int argc, char** argv);
int ledger_server_main(const server_options& options);

} // namespace novacron::ledger
