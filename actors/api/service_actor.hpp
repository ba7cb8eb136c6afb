#pragma once

/// The HTTP interface of a node: its entrances, the routes behind them, and the way to the actors.

#include "actors/api/bridge_actor.hpp"
#include "actors/api/server.hpp"
#include "actors/host/metrics.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace novacron::api {

class service {
public:
  struct config {
    std::string node;
    std::string role;
    std::string version;
    std::string fabric;
    /// A unix socket for people on this host; empty for none.
    std::string socket;
    /// An address for everybody who has a certificate; without `tls` it is not opened.
    std::string host;
    std::uint16_t port = 0;
    /// For servers, not requiring a certificate (`certificate_required = false`): whoever brings none may only join.
    std::shared_ptr<host::tls_context> tls;
    /// Told of requests of somebody without the certificate that they need; called on any thread.
    std::function<void(const char* why)> refused = [](const char*) {};
    /// Told of each order and of each request that was denied: who, what, and the status of the answer; any thread.
    std::function<void(const caller& who, const std::string& what, unsigned status)> audited = [](const auto&, const auto&, auto) {};
    /// See `world`.
    std::function<std::string(std::uint64_t after, std::size_t limit)> audit_entries = nullptr;
    std::function<std::string()> audit_verdict = nullptr;
    server::config served;
  };

  /// Opens the entrances and serves. Throws std::system_error when one cannot be opened. `system` must outlive this.
  service(caf::actor_system& system, finder find, std::shared_ptr<host::metrics> numbers, config settings);
  /// Stops without patience.
  ~service();
  service(const service&) = delete;
  service& operator=(const service&) = delete;

  /// The port of the TLS entrance, 0 without one.
  std::uint16_t port() const;

  /// From now on /readyz says that the node is leaving; everything else goes on.
  void leave();

  /// Accepts nothing new, ends streams, lets requests finish for `patience`, then gives up on them. Blocks.
  void stop(milliseconds patience);

  /// Answers one request, as the servers do. Thread-safe.
  response answer(request asked);

private:
  response run(const call& x) const;
  void open(std::unique_ptr<entrance> in);

  config settings_;
  std::shared_ptr<host::metrics> numbers_;
  bridge bridge_;
  std::atomic<bool> leaving_ = false;
  world world_;
  operations lasting_;
  std::vector<std::unique_ptr<server>> servers_;
};

/// Makes a service. `find` gives the actors "scheduler", "ledger", "authority", "images", "observer", "door", and those
/// of any node as "NODE/agent", "NODE/observer", "NODE/images", "NODE/door"; it is called from several threads at once.
std::unique_ptr<service> start_service(caf::actor_system& system, finder find, std::shared_ptr<host::metrics> numbers,
                                       service::config settings);

} // namespace novacron::api
