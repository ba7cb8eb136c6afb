#include "actors/api/service_actor.hpp"

#include "actors/api/route.hpp"
#include "actors/host/certificate.hpp"
#include "actors/host/log.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace novacron::api {
namespace {

using monotonic = std::chrono::steady_clock;

constexpr auto log_name = std::string_view{"api"};

world make_world(const service::config& settings, bridge& way, const std::atomic<bool>& leaving,
                 const std::shared_ptr<host::metrics>& numbers) {
  return {
      .ask = [&way](const auto& actors, const auto& question, auto patience) { return way.ask(actors, question, patience); },
      .unique = [] { return host::to_hex(host::random_bytes(16)); },
      .leaving = [&leaving] { return leaving.load(); },
      .metrics = [numbers] { return numbers->text(); },
      .audit_entries = settings.audit_entries,
      .audit_verdict = settings.audit_verdict,
      .node = settings.node,
      .role = settings.role,
      .version = settings.version,
      .fabric = settings.fabric,
  };
}

std::int64_t wall_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

void count(host::metrics& numbers, std::string_view route, const request& asked, unsigned status, monotonic::duration took) {
  // Methods that nobody routes come from outside and have no bound.
  const auto method = route == "none" ? std::string{"any"} : asked.method;
  numbers.count("http_requests_total", "Requests answered, by route, method and status.",
                {{"route", std::string{route}}, {"method", method}, {"code", std::to_string(status)}})
      .add();
  numbers.spread("http_request_seconds", "Time from a request to its answer, or to the first byte of a stream.",
                 host::seconds_of_answers(), {{"route", std::string{route}}})
      .observe(std::chrono::duration<double>(took).count());
}

} // namespace

service::service(caf::actor_system& system, finder find, std::shared_ptr<host::metrics> numbers, config settings)
    : settings_{std::move(settings)}, numbers_{std::move(numbers)}, bridge_{system, std::move(find)},
      world_{make_world(settings_, bridge_, leaving_, numbers_)}, lasting_{operations::config{.now = wall_ms}} {
  world_.lasting = &lasting_;
  if (!settings_.socket.empty())
    open(enter_by_unix(settings_.socket));
  if (settings_.tls)
    open(enter_by_tls(settings_.host, settings_.port, settings_.tls));
}

service::~service() { stop(milliseconds{0}); }

void service::open(std::unique_ptr<entrance> in) {
  const auto kind = std::string{in->kind()};
  auto& connections = numbers_->level("http_connections", "Open HTTP connections, by entrance.", {{"entrance", kind}});
  const auto refusals = [numbers = numbers_, kind](const char* why) -> host::counter& {
    return numbers->count("http_refused_total", "Connections and requests refused before they reached a route.",
                          {{"entrance", kind}, {"reason", why}});
  };
  for (const auto* why : {"crowd", "full", "handshake", "head", "slow"})
    refusals(why);
  auto told = server::witness{
      .connections = [&connections](int more) { connections.add(more); },
      .refused = [refusals](const char* why) { refusals(why).add(); },
  };
  servers_.push_back(std::make_unique<server>(
      std::move(in), settings_.served, [this](request x) { return answer(std::move(x)); }, std::move(told)));
}

std::uint16_t service::port() const {
  for (const auto& x : servers_)
    if (x->port() != 0)
      return x->port();
  return 0;
}

void service::leave() { leaving_ = true; }

void service::stop(milliseconds patience) {
  leave();
  auto guard = std::mutex{};
  auto done = std::condition_variable{};
  auto left = servers_.size();
  auto stopping = std::vector<std::thread>{};
  for (const auto& x : servers_)
    stopping.emplace_back([&] {
      x->stop(patience);
      const auto lock = std::lock_guard{guard};
      --left;
      done.notify_all();
    });
  {
    // The last part of the patience is for those that still wait for an actor, and are told that it is over.
    auto lock = std::unique_lock{guard};
    done.wait_for(lock, patience * 3 / 4, [&] { return left == 0; });
  }
  bridge_.give_up();
  for (auto& x : stopping)
    x.join();
  servers_.clear();
}

response service::run(const call& x) const {
  // Whatever a route stumbles over must not take the node down: it becomes an answer, and a line in the log.
  try {
    return respond(x);
  } catch (const std::exception& problem_met) {
    host::log_rarely(host::level::error, log_name, "{} failed: {}", x.through->title, problem_met.what());
    return problem(500, "this request met a fault of the node; its log says more", "unspecified");
  }
}

response service::answer(request asked) {
  const auto start = monotonic::now();
  const auto shape = request{.method = asked.method, .path = asked.path, .who = asked.who};
  auto found = find_route(std::move(asked), world_);
  const auto* through = std::get_if<call>(&found);
  if (!through && std::get<response>(found).status == 401)
    settings_.refused("no_certificate");
  auto out = through ? run(*through) : std::move(std::get<response>(found));
  const auto title = through ? through->through->pattern : std::string_view{"none"};
  // Bodies are left out: they may hold secrets.
  const auto is_order = shape.method != "GET" && shape.method != "HEAD" && (!through || through->through->audited);
  if (is_order || out.status == 401 || out.status == 403)
    settings_.audited(shape.who, shape.method + " " + shape.path, out.status);
  count(*numbers_, title, shape, out.status, monotonic::now() - start);
  return out;
}

std::unique_ptr<service> start_service(caf::actor_system& system, finder find, std::shared_ptr<host::metrics> numbers,
                                       service::config settings) {
  return std::make_unique<service>(system, std::move(find), std::move(numbers), std::move(settings));
}

} // namespace novacron::api
