#include "actors/node/bench_messages.hpp"

#include "actors/node/door_actor.hpp"
#include "actors/node/node_system.hpp"

#include "actors/host/secure_file.hpp"

#include <filesystem>
#include <future>
#include <numeric>
#include <unistd.h>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

using monotonic = std::chrono::steady_clock;

/// The papers of two nodes, in a directory that goes away again.
class papers_for_two {
public:
  papers_for_two() {
    const auto now = std::chrono::system_clock::now();
    const auto authority = host::make_authority("bench", now);
    for (const auto& [name, role] : {std::pair{"cloud-1", "cloud"}, std::pair{"edge-1", "edge"}}) {
      fs::create_directories(root_ / name);
      const auto key = host::make_key();
      host::write_atomically(root_ / name / "ca.pem", authority.certificate);
      host::write_atomically(root_ / name / "key.pem", key, 0600);
      host::write_atomically(root_ / name / "cert.pem", host::issue(authority, host::make_request(key, name, role), name, role, now));
    }
  }
  ~papers_for_two() {
    auto ignored = std::error_code{};
    fs::remove_all(root_, ignored);
  }
  fs::path of(const std::string& name) const { return root_ / name; }

private:
  fs::path root_ = fs::temp_directory_path() / ("novacron-bench-" + host::to_hex(host::random_bytes(8)));
};

/// The kind of message that crosses links most: a node's report with two instances.
wire::NodeReport typical_report() {
  auto report = wire::NodeReport{};
  report.set_node("edge-1");
  report.set_revision(4711);
  report.set_number(12);
  report.mutable_capacity()->set_cpu_milli(4000);
  report.mutable_capacity()->set_memory_bytes(8ull << 30);
  for (const auto* name : {"web.0", "web.1"}) {
    auto* instance = report.add_instances();
    instance->set_name(name);
    instance->set_epoch(3);
    instance->set_phase(wire::PHASE_RUNNING);
    instance->set_address("10.88.0.2");
  }
  return report;
}

caf::behavior acknowledge(caf::event_based_actor*) {
  return {[](const wire::NodeReport& x) {
    auto done = wire::Done{};
    done.set_index(x.revision());
    return done;
  }};
}

struct run {
  caf::actor whom;
  unsigned outstanding = 1;
  monotonic::duration length{};
};

struct outcome {
  std::vector<double> seconds;
  double rate = 0;
};

struct asker_state {
  static inline const char* name = "asker";
  outcome found;
  monotonic::time_point begin;
  monotonic::time_point end;
  unsigned open = 0;
  wire::NodeReport question = typical_report();
};

using asker_pointer = caf::stateful_actor<asker_state>*;

void ask_again(asker_pointer self, const run& plan, const std::shared_ptr<std::promise<outcome>>& result) {
  const auto asked = monotonic::now();
  self->request(plan.whom, std::chrono::seconds{20}, self->state.question)
    .then(
      [=](const wire::Done&) {
        auto& st = self->state;
        const auto now = monotonic::now();
        st.found.seconds.push_back(std::chrono::duration<double>(now - asked).count());
        if (now < st.end)
          return ask_again(self, plan, result);
        if (--st.open == 0) {
          st.found.rate = static_cast<double>(st.found.seconds.size()) / std::chrono::duration<double>(now - st.begin).count();
          result->set_value(std::move(st.found));
          self->quit();
        }
      },
      [=](caf::error& problem) {
        if (self->state.open == 0)
          return;
        self->state.open = 0;
        result->set_exception(std::make_exception_ptr(std::runtime_error{explain(problem).text}));
        self->quit();
      });
}

/// Asks without pause, `outstanding` at a time.
outcome measure(caf::actor_system& system, const run& plan) {
  auto result = std::make_shared<std::promise<outcome>>();
  system.spawn([=](asker_pointer self) -> caf::behavior {
    self->state.begin = monotonic::now();
    self->state.end = self->state.begin + plan.length;
    self->state.open = plan.outstanding;
    for (auto i = 0u; i < plan.outstanding; ++i)
      ask_again(self, plan, result);
    return {[](caf::unit_t) {}};
  });
  return result->get_future().get();
}

/// A node of the bench: an actor system with a door.
struct bench_node {
  host::loop loop;
  system_config config{2};
  caf::actor_system system{config};
  std::shared_ptr<host::deny_list> denied = std::make_shared<host::deny_list>();
  directory names;
  caf::io::middleman_actor transport;
  caf::actor door;
  caf::actor room = system.spawn(acknowledge);

  bench_node(const std::string& name, const std::string& role, const fs::path& trust, std::map<std::string, address> dials)
    : names{system, name, {.outstanding_max = 4096}},
      transport{host::spawn_tls_middleman(system, loop, links_over_tls(trust, denied, [](const std::string&) {}))} {
    names.open("scheduler")->aim(caf::actor_cast<caf::strong_actor_ptr>(room));
    const auto own = papers{*host::read_small_file(trust / "cert.pem"), *host::read_small_file(trust / "key.pem"), *host::read_small_file(trust / "ca.pem")};
    auto around = neighbourhood{};
    around.names = &names;
    around.transport = transport;
    around.own_papers = [own] { return own; };
    around.wall_clock = std::chrono::system_clock::now;
    around.denied = denied.get();
    around.facts.set_name(name);
    around.facts.set_role(role);
    around.refused = [](const std::string&, const std::string&) {};
    door = spawn_door(system, std::move(around), {.dials = std::move(dials), .health = [] { return wire::Health{}; }, .leave = {}});
  }
  ~bench_node() {
    end_actors(system, names, transport);
  }
};

caf::actor bare_remote(bench_node& near, std::uint16_t port) {
  auto self = caf::scoped_actor{near.system};
  auto found = caf::actor{};
  self->request(near.transport, std::chrono::seconds{10}, caf::connect_atom_v, std::string{"127.0.0.1"}, port)
    .receive([&](const caf::node_id&, const caf::strong_actor_ptr& x, const std::set<std::string>&) { found = caf::actor_cast<caf::actor>(x); },
             [](caf::error& problem) { throw std::runtime_error{explain(problem).text}; });
  return found;
}

void wait_until_linked(bench_node& near, const caf::actor& whom) {
  for (auto tries = 0; tries < 500; ++tries) {
    auto self = caf::scoped_actor{near.system};
    auto ok = false;
    self->request(whom, std::chrono::seconds{2}, typical_report()).receive([&](const wire::Done&) { ok = true; }, [](caf::error&) {});
    if (ok)
      return;
    ::usleep(10'000);
  }
  throw std::runtime_error{"the two nodes did not find each other"};
}

struct series {
  std::vector<double> rates;
  std::vector<double> p50;
  std::vector<double> p99;

  void add(caf::actor_system& system, const caf::actor& whom, const bench_messages_options& options) {
    const auto length = std::chrono::duration_cast<monotonic::duration>(std::chrono::duration<double>{options.seconds_each});
    rates.push_back(measure(system, {whom, options.outstanding, length}).rate);
    const auto single = measure(system, {whom, 1, length}).seconds;
    p50.push_back(host::quantile(single, 0.5));
    p99.push_back(host::quantile(single, 0.99));
  }
};

std::vector<host::figure> compare(const std::string& what, const std::string& peer, const series& ours, const series& bare) {
  auto median = [](const std::vector<double>& x) { return host::quantile(x, 0.5); };
  // Two actors share a core or have one each, at rates that differ several times; a median takes one case for the other.
  auto mean = [](const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size()); };
  return {host::beside(what + "_rate", mean(ours.rates), "1/s", peer, mean(bare.rates)),
          host::beside(what + "_p50", median(ours.p50), "s", peer, median(bare.p50)),
          host::beside(what + "_p99", median(ours.p99), "s", peer, median(bare.p99))};
}

} // namespace

std::vector<host::figure> bench_messages(const bench_messages_options& options) {
  const auto trust = papers_for_two{};
  auto cloud = bench_node{"cloud-1", "cloud", trust.of("cloud-1"), {}};
  const auto port = *publish(cloud.system, cloud.transport, cloud.door, "127.0.0.1", 0);
  const auto bare_port = *publish(cloud.system, cloud.transport, cloud.room, "127.0.0.1", 0);
  auto edge = bench_node{"edge-1", "edge", trust.of("edge-1"), {{"cloud-1", {"127.0.0.1", port}}}};
  const auto linked = edge.names.handle("cloud-1", "scheduler");
  wait_until_linked(edge, linked);
  const auto bare = bare_remote(edge, bare_port);
  const auto through_post = edge.names.handle("edge-1", "scheduler");

  auto remote = std::array<series, 2>{};
  auto local = std::array<series, 2>{};
  for (auto i = 0u; i < options.rounds; ++i) {
    // Who goes first alternates, so that a drift of the machine meets both alike.
    for (auto which : {i % 2, 1 - i % 2}) {
      remote[which].add(edge.system, which == 0 ? linked : bare, options);
      local[which].add(edge.system, which == 0 ? through_post : edge.room, options);
    }
  }
  auto figures = compare("remote", "bare CAF pair over the same TLS", remote[0], remote[1]);
  for (auto& x : compare("local", "bare CAF actor", local[0], local[1]))
    figures.push_back(std::move(x));
  return figures;
}

} // namespace novacron::node
