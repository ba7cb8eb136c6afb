/// Two nodes with real TLS connections on loopback.

#include "actors/node/door_actor.hpp"
#include "actors/node/node_system.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

/// A fabric's papers in a directory of their own.
struct trust_dir {
  fs::path root = fs::temp_directory_path() / ("novacron-link-" + std::to_string(::getpid()) + "-" + host::to_hex(host::random_bytes(4)));
  host::key_and_certificate authority = host::make_authority("spec", std::chrono::system_clock::now());

  ~trust_dir() { fs::remove_all(root); }

  std::string for_node(const std::string& name, const std::string& role) const {
    const auto dir = root / name;
    fs::create_directories(dir);
    const auto key = host::make_key();
    const auto certificate = host::issue(authority, host::make_request(key, name, role), name, role, std::chrono::system_clock::now());
    auto write = [&](const char* file, const std::string& text) { std::ofstream{dir / file} << text; };
    write("ca.pem", authority.certificate);
    write("cert.pem", certificate);
    write("key.pem", key);
    return dir.string();
  }
};

std::string text_of(const fs::path& file) {
  auto in = std::ifstream{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// Says hello back, with the length of what it was told.
caf::behavior echo(caf::event_based_actor*) {
  return {
    [](const wire::HealthRequest&) {
      auto x = wire::Health{};
      x.set_live(true);
      return x;
    },
    [](const wire::SetLogLevel&) { return wire::Done{}; },
  };
}

struct test_node {
  std::mutex guard;
  std::vector<std::string> refusals;
  host::loop loop;
  node::system_config config{2};
  caf::actor_system system{config};
  std::shared_ptr<host::deny_list> denied = std::make_shared<host::deny_list>();
  node::directory names;
  caf::io::middleman_actor transport;
  caf::actor threshold;
  caf::actor room = system.spawn(echo);

  test_node(const std::string& name, const std::string& role, const std::string& trust, std::map<std::string, node::address> dials)
    : names{system, name} {
    transport = host::spawn_tls_middleman(system, loop, node::links_over_tls(trust, denied, [this](const std::string& why) { note(why); }));
    names.open("observer")->aim(caf::actor_cast<caf::strong_actor_ptr>(room));
    auto around = node::neighbourhood{};
    around.names = &names;
    around.transport = transport;
    around.own_papers = [=] {
      return node::papers{text_of(trust + "/cert.pem"), text_of(trust + "/key.pem"), text_of(trust + "/ca.pem")};
    };
    around.wall_clock = std::chrono::system_clock::now;
    around.denied = denied.get();
    around.facts.set_name(name);
    around.facts.set_role(role);
    around.pulse = {.beat = 200ms, .patience = 1s, .pause = 20ms, .pause_max = 200ms};
    around.refused = [this](const std::string& why, const std::string&) { note(why); };
    threshold = node::spawn_door(system, std::move(around), {.dials = std::move(dials), .health = [] { return wire::Health{}; }, .leave = {}});
  }

  ~test_node() {
    node::end_actors(system, names, transport);
  }

  void note(const std::string& why) {
    const auto lock = std::lock_guard{guard};
    refusals.push_back(why);
  }

  std::uint16_t listen() { return *node::publish(system, transport, threshold, "127.0.0.1", 0); }

  template <class Question>
  caf::error ask(const caf::actor& whom, const Question& question) {
    auto self = caf::scoped_actor{system};
    auto problem = caf::error{};
    self->request(whom, 3s, question).receive([](const caf::message&) {}, [&](caf::error& x) { problem = x; });
    return problem;
  }

  /// Asks until it works, at most ten seconds.
  bool reaches(const caf::actor& whom) {
    for (auto i = 0; i < 500; ++i, std::this_thread::sleep_for(20ms))
      if (auto self = caf::scoped_actor{system}; true) {
        auto ok = false;
        self->request(whom, 1s, wire::HealthRequest{}).receive([&](const wire::Health& x) { ok = x.live(); }, [](caf::error&) {});
        if (ok)
          return true;
      }
    return false;
  }
};

} // namespace

SCENARIO("two nodes find one another over mutual TLS") {
  const auto trust = trust_dir{};
  auto cloud = std::make_unique<test_node>("cloud-1", "cloud", trust.for_node("cloud-1", "cloud"), std::map<std::string, node::address>{});
  const auto port = cloud->listen();
  const auto edge_trust = trust.for_node("edge-1", "edge");
  auto edge = std::make_unique<test_node>("edge-1", "edge", edge_trust, std::map<std::string, node::address>{{"cloud-1", {"127.0.0.1", port}}});
  const auto up = edge->names.handle("cloud-1", "observer");
  const auto down = cloud->names.handle("edge-1", "observer");
  REQUIRE(edge->reaches(up));
  THEN("the one that was dialled reaches the other over the same connection") {
    CHECK(cloud->reaches(down));
  }
  THEN("what the role may not say is refused and counted") {
    auto self = caf::scoped_actor{edge->system};
    auto problem = caf::error{};
    self->request(up, 3s, wire::SetLogLevel{}).receive([](const wire::Done&) {}, [&](caf::error& x) { problem = x; });
    CHECK(explain(problem).kind == fault::denied);
    CHECK_FALSE(cloud->refusals.empty());
    CHECK(cloud->refusals.back() == "wrong_role");
  }
  THEN("an actor that is not there is said to be not there") {
    const auto nobody = edge->names.handle("cloud-1", "nobody");
    auto self = caf::scoped_actor{edge->system};
    auto text = std::string{};
    for (auto i = 0; i < 100 && text.find("no actor called") == text.npos; ++i, std::this_thread::sleep_for(20ms))
      self->request(nobody, 3s, wire::HealthRequest{}).receive([](const wire::Health&) {}, [&](caf::error& x) { text = explain(x).text; });
    CHECK(text.find("no actor called nobody") != text.npos);
  }
  THEN("requests fail at once when the peer is gone, and work again through the same handle when it is back") {
    REQUIRE(cloud->reaches(down));
    cloud.reset();
    auto self = caf::scoped_actor{edge->system};
    auto kind = fault::unspecified;
    for (auto i = 0; i < 200 && kind != fault::unreachable; ++i, std::this_thread::sleep_for(20ms))
      self->request(up, 3s, wire::HealthRequest{}).receive([](const wire::Health&) {}, [&](caf::error& x) { kind = explain(x).kind; });
    CHECK(kind == fault::unreachable);
    cloud = std::make_unique<test_node>("cloud-1", "cloud", trust.for_node("cloud-1", "cloud"), std::map<std::string, node::address>{});
    REQUIRE(*node::publish(cloud->system, cloud->transport, cloud->threshold, "127.0.0.1", port) == port);
    CHECK(edge->reaches(up));
  }
}
