/// Everything that is not a proper peer, against the listeners of a real node: each is refused and counted, and a good
/// peer gets in right afterwards.

#include "spec/reality/fabric_fixture.hpp"
#include "spec/reality/intruder.hpp"

#include "actors/host/files.hpp"
#include "actors/node/authority.hpp"
#include "actors/node/credentials.hpp"
#include "actors/node/join.hpp"
#include "messages/vocabulary.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <thread>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;
using json = nlohmann::json;
using monotonic = std::chrono::steady_clock;
using spec::intruder;

namespace {

/// One controller with a short patience, and the means to make papers for it.
struct target {
  spec::live_fabric fabric{{{"cloud-1", "cloud"}}, "[trust]\nhandshake = \"1s\"\n"};
  bool started = fabric.start_all();
  host::key_and_certificate authority = node::read_authority(fabric.data_of("cloud-1") / "trust");
  std::uint16_t link = fabric.link_port();
  std::uint16_t api = fabric.api_port();

  static std::string line(const std::string& why) {
    return fmt::format("novacron_refused_peers_total{{reason=\"{}\"}}", why);
  }
  double counted(const std::string& why) const { return fabric.metric("cloud-1", line(why)); }

  spec::shown_papers good(const std::string& role = "edge", const std::string& name = "edge-9") const {
    return spec::papers_by(authority, name, role);
  }
  node::papers papers(const std::string& name, const std::string& role) const {
    const auto made = good(role, name);
    return {made.certificate, made.key, authority.certificate};
  }

  /// Whether a peer with proper papers is let in, up to the first words of the message broker.
  bool lets_in_good_peers() const {
    auto peer = intruder{link};
    return peer.shake_hands(good()) && peer.receive(5s).size() >= 32;
  }

  /// Does `attack`, which must raise the count of `why`, and leave the door open for others.
  template <class Attack>
  void refuses(const std::string& why, Attack attack) {
    const auto before = counted(why);
    attack();
    CHECK_MESSAGE(spec::eventually([&] { return counted(why) > before; }, 5s), why << " was not counted");
    CHECK_MESSAGE(lets_in_good_peers(), "after " << why);
  }
};

/// Tries to come in with TLS; nothing of the message broker must be heard.
void attempt(std::uint16_t port, const spec::shown_papers& shown, int version_max = 0) {
  auto peer = intruder{port};
  peer.shake_hands(shown, version_max);
  CHECK(peer.receive(2s).empty());
}

/// A handshake record that begins a client hello of `size` bytes.
std::string huge_hello(std::uint32_t size) {
  auto body = std::string{'\1'};
  for (const auto shift : {16, 8, 0})
    body += static_cast<char>(size >> shift & 0xff);
  body += std::string{"\3\3"} + std::string(size - 2, 'x');
  auto records = std::string{};
  constexpr auto record_max = std::size_t{16384};
  for (auto at = std::size_t{0}; at < body.size(); at += record_max) {
    const auto part = body.substr(at, record_max);
    records +=
        std::string{"\x16\3\1"} + static_cast<char>(part.size() >> 8) + static_cast<char>(part.size() & 0xff) + part;
  }
  return records;
}

double cpu_seconds(pid_t pid) {
  const auto text = host::read_file(fmt::format("/proc/{}/stat", pid)).value_or("");
  auto fields = std::istringstream{text.substr(text.rfind(')') + 1)};
  auto field = std::string{};
  auto ticks = 0.0;
  for (auto i = 3; i <= 15; ++i) {
    fields >> field;
    if (i >= 14)
      ticks += std::stod(field);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

} // namespace

SCENARIO("a live listener refuses and counts whoever has no proper papers") {
  auto it = target{};
  REQUIRE(it.started);
  const auto stranger = host::make_authority("spec", std::chrono::system_clock::now());
  const auto now = std::chrono::system_clock::now();
  REQUIRE(it.lets_in_good_peers());
  it.refuses("no_certificate", [&] { attempt(it.link, {}); });
  it.refuses("self_signed", [&] { attempt(it.link, {stranger.certificate, stranger.key}); });
  it.refuses("wrong_authority", [&] { attempt(it.link, spec::papers_by(stranger, "edge-9", "edge")); });
  it.refuses("expired", [&] { attempt(it.link, spec::papers_by(it.authority, "edge-9", "edge", now - 25h)); });
  it.refuses("not_yet_valid", [&] { attempt(it.link, spec::papers_by(it.authority, "edge-9", "edge", now + 1h)); });
  it.refuses("wrong_role", [&] { attempt(it.link, spec::papers_by(it.authority, "alice", "person")); });
  for (const auto version : {TLS1_1_VERSION, TLS1_2_VERSION})
    it.refuses("old_protocol", [&] { attempt(it.link, it.good(), version); });
}

SCENARIO("a live listener survives whoever does not even speak TLS") {
  auto it = target{};
  REQUIRE(it.started);
  const auto pid = it.fabric.process_of("cloud-1");
  const auto before = spec::resident_mb(pid);
  it.refuses("malformed", [&] {
    auto peer = intruder{it.link};
    peer.send_plain(huge_hello(1 << 20));
    CHECK(peer.is_cut_off(5s));
  });
  it.refuses("malformed", [&] {
    auto peer = intruder{it.link};
    peer.send_plain("GET / HTTP/1.1\r\nHost: cloud-1\r\n\r\n");
    CHECK(peer.is_cut_off(5s));
  });
  it.refuses("malformed", [&] { // a client handshake of plain BASP
    auto peer = intruder{it.link};
    peer.send_plain(spec::frame_header(1, 64, 3, 0, 0) + std::string(64, '\0'));
    CHECK(peer.is_cut_off(5s));
  });
  it.refuses("malformed", [&] { // a message of three gigabytes
    auto peer = intruder{it.link};
    peer.send_plain(spec::frame_header(2, 3'000'000'000u, 0, 1, 1));
    CHECK(peer.is_cut_off(5s));
  });
  CHECK((!spec::is_fast_build || spec::resident_mb(pid) - before < 16));
}

SCENARIO("a live listener gives a handshake its time and no more") {
  auto it = target{};
  REQUIRE(it.started);
  THEN("one that takes less than the limit gets in, one that takes more is cut off") {
    auto patient = intruder{it.link};
    CHECK(patient.shake_hands(it.good(), 0, 600ms));
    CHECK(patient.receive(5s).size() >= 32);
    it.refuses("too_slow", [&] {
      auto slow = intruder{it.link};
      const auto begin = monotonic::now();
      slow.send_plain("\x16\3\1");
      CHECK(slow.is_cut_off(10s));
      const auto took = monotonic::now() - begin;
      CHECK(took > 900ms);
      CHECK(took < 5s);
    });
    it.refuses("too_slow", [&] { // a byte now and then is no progress
      auto slow = intruder{it.link};
      slow.send_plain("\x16\3\1\x02");
      auto cut = false;
      for (auto i = 0; i < 30 && !cut; ++i, cut = slow.is_cut_off(100ms))
        slow.send_plain("x");
      CHECK(cut);
    });
  }
  THEN("those who fill all places and say nothing keep nobody out") {
    const auto before = it.counted("too_many");
    auto silent = std::vector<std::unique_ptr<intruder>>{};
    const auto begin = monotonic::now();
    for (auto i = 0; i < 400; ++i)
      silent.push_back(std::make_unique<intruder>(it.link));
    CHECK(it.lets_in_good_peers());
    if (monotonic::now() - begin < 900ms)
      CHECK(it.counted("too_many") > before);
  }
  THEN("out of descriptors it turns new ones away without burning the processor") {
    const auto pid = it.fabric.process_of("cloud-1");
    auto usual = rlimit{};
    REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &usual) == 0);
    auto open = std::size_t{0};
    for (const auto& x : std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", pid)})
      open += x.exists() || true;
    const auto tight = rlimit{open, usual.rlim_max};
    const auto before = it.counted("no_descriptors");
    REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &tight, nullptr) == 0);
    auto crowd = std::vector<std::unique_ptr<intruder>>{};
    for (auto i = 0; i < 20; ++i)
      crowd.push_back(std::make_unique<intruder>(it.link));
    const auto used = cpu_seconds(pid);
    std::this_thread::sleep_for(1s);
    CHECK(cpu_seconds(pid) - used < 0.5);
    REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &usual, nullptr) == 0);
    crowd.clear();
    CHECK(spec::eventually([&] { return it.counted("no_descriptors") > before; }, 5s));
    CHECK(it.lets_in_good_peers());
  }
}

SCENARIO("a door refuses and counts a proper certificate with an improper claim") {
  auto it = target{};
  REQUIRE(it.started);
  const auto own = it.papers("edge-9", "edge");
  auto caller = spec::impostor{it.fabric.root() / "impostor", own};
  const auto door = caller.door_at(it.link);
  REQUIRE(door);
  auto hello = [&](const std::string& name, const std::string& role) {
    return node::say_hello(own, name, role, host::random_bytes(32));
  };
  it.refuses("wrong_name", [&] { CHECK_FALSE(caller.greet(door, hello("edge-8", "edge"))); });
  it.refuses("wrong_role", [&] { CHECK_FALSE(caller.greet(door, hello("edge-9", "cloud"))); });
  it.refuses("old_protocol", [&] {
    auto old = hello("edge-9", "edge");
    old.set_protocol(protocol_version - 1);
    CHECK_FALSE(caller.greet(door, old));
  });
  it.refuses("malformed", [&] { CHECK_FALSE(caller.ask<wire::Welcome>(door, wire::Proof{})); });
  it.refuses("denied", [&] {
    auto wish = wire::Resolve{};
    wish.set_name("scheduler");
    CHECK_FALSE(caller.ask<caf::actor>(door, wish));
  });
  THEN("the same peer with a proper claim is welcome") {
    const auto welcome = caller.introduce(door, "edge-9", "edge");
    REQUIRE(welcome);
    CHECK(welcome->facts().name() == "cloud-1");
  }
}

SCENARIO("a proper peer reaches only what was made for it") {
  auto it = target{};
  REQUIRE(it.started);
  auto caller = spec::impostor{it.fabric.root() / "impostor", it.papers("edge-9", "edge")};
  const auto door = caller.door_at(it.link);
  REQUIRE(door);
  REQUIRE(caller.introduce(door, "edge-9", "edge"));
  auto wish = wire::Resolve{};
  wish.set_name("scheduler");
  const auto scheduler = caller.ask<caf::actor>(door, wish);
  REQUIRE(scheduler);
  auto report = wire::NodeReport{};
  report.set_node("edge-9");
  CHECK(caller.ask<wire::Done>(*scheduler, report));
  THEN("actors whose numbers it guesses are out of its reach") {
    it.refuses("stray", [&] {
      for (auto number = std::uint64_t{1}; number < 300; ++number) {
        const auto guessed = caller.guess(door, number);
        if (number == door.id() || number == scheduler->id())
          continue;
        caf::anon_send(guessed, wire::SetLogLevel{});
        caf::anon_send_exit(guessed, caf::exit_reason::kill);
      }
    });
    CHECK(caller.ask<wire::Done>(*scheduler, report));
    CHECK_NOTHROW(it.fabric.ask().get("/readyz"));
    const auto actors = it.fabric.get("/v1/actors");
    for (const auto& x : actors.at("actors"))
      CHECK_MESSAGE(x.value("restarts", 0) == 0, x.value("name", "") << " was ended from outside");
  }
  THEN("another peer cannot use its way in") {
    auto other = spec::impostor{it.fabric.root() / "other", it.papers("edge-8", "edge")};
    const auto same = other.door_at(it.link);
    REQUIRE(same);
    REQUIRE(other.introduce(same, "edge-8", "edge"));
    it.refuses("stray", [&] { caf::anon_send(other.guess(same, scheduler->id()), report); });
  }
  THEN("what it may not say through its way in is refused") {
    it.refuses("wrong_role", [&] { CHECK_FALSE(caller.ask<wire::Done>(*scheduler, wire::DrainNode{})); });
    it.refuses("wrong_role", [&] {
      auto forged = report;
      forged.set_node("edge-8");
      CHECK_FALSE(caller.ask<wire::Done>(*scheduler, forged));
    });
  }
}

SCENARIO("a proper peer with improper frames is cut off") {
  auto it = target{};
  REQUIRE(it.started);
  const auto pid = it.fabric.process_of("cloud-1");
  const auto before = spec::resident_mb(pid);
  auto frame = [&](const std::string& header) {
    auto peer = intruder{it.link};
    CHECK(peer.shake_hands(it.good()));
    CHECK(peer.receive(5s).size() >= 32);
    peer.send(header);
    CHECK(peer.is_cut_off(5s));
  };
  it.refuses("too_large", [&] { frame(spec::frame_header(2, 3'000'000'000u, 0, 1, 1)); });
  it.refuses("routed", [&] { frame(spec::frame_header(3, 64, 0, 1, 1)); });
  it.refuses("malformed", [&] { frame(spec::frame_header(99, 0, 0, 1, 1)); });
  CHECK((!spec::is_fast_build || spec::resident_mb(pid) - before < 16));
}

SCENARIO("a token works once, for the node it was made for") {
  auto it = target{};
  REQUIRE(it.started);
  auto token = [&](const std::string& name) {
    const auto made = it.fabric.ask().order("POST", "/v1/tokens", json{{"name", name}, {"role", "edge"}}.dump());
    return json::parse(made).at("token").get<std::string>();
  };
  auto join = [&](const std::string& secret, const std::string& name) {
    const auto home = it.fabric.root() / ("joins-as-" + name);
    return node::join({{"127.0.0.1", it.api}, secret, name, "edge", home, 5s});
  };
  const auto first = token("edge-7");
  CHECK(join(first, "edge-7").name == "edge-7");
  it.refuses("bad_token", [&] { CHECK_THROWS_AS(join(first, "edge-7"), node::join_error); });
  const auto second = token("edge-6");
  it.refuses("bad_token", [&] { CHECK_THROWS_AS(join(second, "edge-5"), node::join_error); });
  CHECK(join(second, "edge-6").name == "edge-6");
}

SCENARIO("the API on TLS refuses and counts like the links do") {
  auto it = target{};
  REQUIRE(it.started);
  const auto stranger = host::make_authority("spec", std::chrono::system_clock::now());
  const auto question = std::string{"GET /v1/nodes HTTP/1.1\r\nHost: cloud-1\r\nConnection: close\r\n\r\n"};
  auto ask = [&](const spec::shown_papers& shown, int version_max = 0) {
    auto peer = intruder{it.api};
    if (!peer.shake_hands(shown, version_max))
      return std::string{};
    peer.send(question);
    return peer.receive(5s);
  };
  it.refuses("no_certificate", [&] { CHECK(ask({}).starts_with("HTTP/1.1 401")); });
  it.refuses("self_signed", [&] { CHECK(ask({stranger.certificate, stranger.key}).empty()); });
  it.refuses("wrong_authority", [&] { CHECK(ask(spec::papers_by(stranger, "alice", "person")).empty()); });
  it.refuses("expired", [&] {
    CHECK(ask(spec::papers_by(it.authority, "alice", "person", std::chrono::system_clock::now() - 25h)).empty());
  });
  it.refuses("old_protocol", [&] { CHECK(ask(it.good("person", "alice"), TLS1_1_VERSION).empty()); });
  const auto handshakes = std::string{"novacron_http_refused_total{entrance=\"tls\",reason=\"handshake\"}"};
  auto count = it.fabric.metric("cloud-1", handshakes);
  auto plain = intruder{it.api};
  plain.send_plain(question);
  CHECK(plain.is_cut_off(5s));
  CHECK(spec::eventually([&] { return it.fabric.metric("cloud-1", handshakes) > count; }, 5s));
  count = it.fabric.metric("cloud-1", handshakes);
  auto slow = std::vector<std::unique_ptr<intruder>>{};
  for (auto i = 0; i < 64; ++i) {
    slow.push_back(std::make_unique<intruder>(it.api));
    slow.back()->send_plain("\x16\3\1");
  }
  CHECK(ask(it.good("person", "alice")).starts_with("HTTP/1.1 200"));
  CHECK(slow.front()->is_cut_off(10s));
  CHECK(spec::eventually([&] { return it.fabric.metric("cloud-1", handshakes) > count; }, 5s));
}
