#include "actors/node/node_system.hpp"

#include <openssl/ssl.h>

#include <thread>

namespace novacron::node {
namespace {

constexpr auto few_cores = 4u;

} // namespace

system_config::system_config(std::size_t threads) {
  add_language(*this);
  load<caf::io::middleman>();
  if (threads > 0)
    set("scheduler.max-threads", threads);
  // CAF spins before it sleeps; on hosts with few cores that takes the processor from the workloads.
  set("work-stealing.aggressive-poll-attempts", std::size_t{0});
  set("work-stealing.moderate-poll-attempts", std::size_t{0});
  set("logger.verbosity", caf::atom("quiet"));
  // A stopped peer is noticed by heartbeats only, and they are off unless both ends turn them on.
  set("middleman.heartbeat-interval", caf::timespan{std::chrono::milliseconds{1000}});
  set("middleman.connection-timeout", caf::timespan{std::chrono::milliseconds{5000}});
  // Messages are put together by the thread that reads them: handed to a worker, each would cost a change of threads,
  // and whoever checks it next fetches it from that worker's cache (on two cores 84,000 requests/s instead of 72,000).
  // Only where cores abound is it worth while.
  if (std::thread::hardware_concurrency() <= few_cores)
    set("middleman.workers", std::size_t{0});
  set("middleman.app-identifiers", std::vector<std::string>{"novacron." + std::to_string(protocol_version)});
}

host::tls_hooks links_over_tls(const std::string& trust_dir, std::shared_ptr<const host::deny_list> denied,
                               std::function<void(const std::string& why)> refused) {
  auto context_for = [&](host::tls_side side) {
    auto settings = host::tls_settings{};
    settings.directory = trust_dir;
    settings.side = side;
    settings.denied = denied;
    settings.roles = {"cloud", "hybrid", "edge", "gpu", "storage", "gateway"};
    return host::make_tls_context(std::move(settings));
  };
  auto server = context_for(host::tls_side::server);
  auto client = context_for(host::tls_side::client);
  auto hooks = host::tls_hooks{};
  hooks.session = [server, client](bool accepting) { return SSL_new((accepting ? server : client)->native()); };
  hooks.why = [](SSL* session) {
    const auto why = host::refusal_of(session);
    return std::string{host::to_string(why == host::refusal::none ? host::refusal::malformed : why)};
  };
  hooks.name = [](SSL* session) {
    const auto who = host::peer_identity(session);
    return who ? who->name : std::string{};
  };
  hooks.refused = std::move(refused);
  return hooks;
}

caf::expected<std::uint16_t> publish(caf::actor_system& system, const caf::io::middleman_actor& transport,
                                     const caf::actor& door, const std::string& host, std::uint16_t port) {
  auto self = caf::scoped_actor{system};
  auto result = caf::expected<std::uint16_t>{caf::make_error(fault::unavailable, "no transport")};
  self->request(transport, std::chrono::seconds{10}, caf::publish_atom_v, port,
                caf::actor_cast<caf::strong_actor_ptr>(door), std::set<std::string>{}, host, true)
    .receive([&](std::uint16_t bound) { result = bound; },
             [&](caf::error&) {
               result = caf::make_error(fault::conflict, "cannot listen on " + host + ":" + std::to_string(port)
                                                           + "; is another node using it?");
             });
  return result;
}

void end_actors(caf::actor_system& system, directory& names, const caf::io::middleman_actor& transport) {
  for (const auto& room : names.posts())
    if (const auto target = room->target())
      caf::anon_send_exit(caf::actor_cast<caf::actor>(target), caf::exit_reason::user_shutdown);
  if (transport)
    caf::anon_send_exit(transport, caf::exit_reason::user_shutdown);
  names.retire();
  system.await_all_actors_done();
}

} // namespace novacron::node
