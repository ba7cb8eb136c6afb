/// The HTTP interface on real sockets, spoken to by curl and by raw, badly behaved clients.

#include "actors/api/service_actor.hpp"
#include "actors/host/process.hpp"
#include "messages/registry.hpp"

#include <caf/all.hpp>
#include <doctest/doctest.h>

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

using namespace novacron;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

using api::milliseconds;
using monotonic = std::chrono::steady_clock;

struct language : caf::actor_system_config {
  language() { add_language(*this); }
};

/// Every actor there is, in one: answers what the specs ask.
caf::behavior everybody(caf::event_based_actor* self, host::metrics* numbers) {
  self->set_default_handler(caf::drop);
  return {
      [](const wire::HealthRequest&) {
        auto x = wire::Health{};
        x.set_live(true);
        x.set_ready(true);
        return x;
      },
      [](const wire::NodeListRequest&) { return wire::NodeList{}; },
      [numbers](const wire::MetricsRequest&) {
        auto x = wire::Metrics{};
        x.set_text(numbers->text());
        return x;
      },
      [](const wire::Submit& x) {
        auto done = wire::Submitted{};
        done.set_name(x.spec().name());
        done.set_effect("created");
        done.set_generation(x.spec().labels().size());
        return done;
      },
      [](const wire::WorkloadListRequest&) {
        auto list = wire::WorkloadList{};
        auto& instance = *list.add_workloads()->add_instances();
        instance.set_name("web.0");
        instance.set_node("edge-1");
        return list;
      },
      [](const wire::EventsRequest& x) {
        auto news = wire::Events{};
        news.set_next(x.after() + 1);
        auto& event = *news.add_events();
        event.set_number(x.after() + 1);
        event.set_noun("node");
        event.set_verb("arrived");
        return news;
      },
      [](const wire::LogRequest& x) {
        auto chunk = wire::LogChunk{};
        chunk.set_data(std::string(1 << 16, 'x'));
        chunk.set_next_offset(x.offset() + (1 << 16));
        return chunk;
      },
      [self](const wire::ExecStart&) -> caf::result<wire::ExecSession> {
        // Takes its time.
        auto promise = self->make_response_promise<wire::ExecSession>();
        self->delayed_send(self, 400ms, caf::tick_atom_v);
        self->become(caf::keep_behavior, caf::behavior{[self, promise](caf::tick_atom) mutable {
                       auto x = wire::ExecSession{};
                       x.set_session("s1");
                       promise.deliver(x);
                       self->unbecome();
                     }});
        return promise;
      },
      [](const wire::CertificateRequest& x) {
        auto done = wire::Certificate{};
        done.set_certificate("for " + x.name());
        return done;
      },
  };
}

struct scratch {
  fs::path path;
  scratch() {
    auto pattern = (fs::temp_directory_path() / "novacron-api-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~scratch() { fs::remove_all(path); }
};

struct node {
  scratch home;
  host::key_and_certificate authority = host::make_authority("spec", std::chrono::system_clock::now());
  language settings;
  std::shared_ptr<host::metrics> numbers = std::make_shared<host::metrics>();
  caf::actor_system system{settings};
  caf::actor all = system.spawn(everybody, numbers.get());
  std::unique_ptr<api::service> serving;

  explicit node(api::server::config served = {}, bool tls = false) {
    host::add_process_metrics(*numbers);
    host::add_build_metrics(*numbers, "1.2.3", "cloud", "cloud-1");
    auto config = api::service::config{.node = "cloud-1", .role = "cloud", .version = "1.2.3", .socket = socket(), .served = served};
    if (tls) {
      config.host = "127.0.0.1";
      config.tls = host::make_tls_context(
          {.directory = papers(authority, "cloud-1", "cloud"), .certificate_required = false, .sends_authority = true});
    }
    serving = api::start_service(system, [this](std::string_view) { return caf::expected<caf::actor>{all}; }, numbers, config);
  }
  ~node() {
    serving.reset();
    caf::anon_send_exit(all, caf::exit_reason::user_shutdown);
  }

  std::string socket() const { return home.path / "api.sock"; }

  fs::path papers(const host::key_and_certificate& by, const std::string& name, const std::string& role) const {
    const auto directory = home.path / (name + "-" + role);
    fs::create_directories(directory);
    const auto key = host::make_key();
    const auto write = [&](const char* file, const std::string& text) { std::ofstream{directory / file} << text; };
    write("ca.pem", by.certificate);
    write("cert.pem", host::issue(by, host::make_request(key, name, role), name, role, std::chrono::system_clock::now()));
    write("key.pem", key);
    return directory;
  }

  double connections(const std::string& entrance) const {
    return numbers->level("http_connections", "Open HTTP connections, by entrance.", {{"entrance", entrance}}).value();
  }
};

std::string curl_to(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"curl", "-sS", "--max-time", "20"});
  const auto done = host::run({.argv = std::move(arguments)}, 30s);
  return done.out + (done.how.code == 0 ? "" : "[curl " + std::to_string(done.how.code) + "]");
}

std::string local(const node& at, const std::string& target, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--unix-socket", at.socket(), "http://node" + target});
  return curl_to(std::move(more));
}

/// Over TLS, with a certificate or without; the answer's status.
std::string remote(const node& at, const std::string& target, const fs::path& papers = {}, std::vector<std::string> more = {}) {
  // The authority vouches for names of nodes, not of hosts.
  more.insert(more.end(), {"-k", "-o", "/dev/null", "-w", "%{http_code}", "https://127.0.0.1:" + std::to_string(at.serving->port()) + target});
  if (!papers.empty())
    more.insert(more.end(), {"--cert", papers / "cert.pem", "--key", papers / "key.pem"});
  return curl_to(std::move(more));
}

/// A client without manners.
struct raw {
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  explicit raw(const std::string& path) {
    auto address = sockaddr_un{.sun_family = AF_UNIX};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const auto patience = timeval{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~raw() { ::close(fd); }
  bool send(std::string_view text) const {
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  std::string rest() const {
    auto text = std::string{};
    auto block = std::array<char, 65536>{};
    for (auto count = ::recv(fd, block.data(), block.size(), 0); count > 0; count = ::recv(fd, block.data(), block.size(), 0))
      text.append(block.data(), static_cast<std::size_t>(count));
    return text;
  }
  /// One answer with a body of known length.
  std::string answer() {
    auto block = std::array<char, 65536>{};
    for (;;) {
      const auto end = ahead.find("\r\n\r\n");
      if (end != ahead.npos) {
        const auto at = ahead.find("Content-Length: ") + 16;
        const auto size = end + 4 + std::stoul(ahead.substr(at));
        if (ahead.size() >= size)
          return std::exchange(ahead, ahead.substr(size)).substr(0, size);
      }
      const auto count = ::recv(fd, block.data(), block.size(), 0);
      if (count <= 0)
        return {};
      ahead.append(block.data(), static_cast<std::size_t>(count));
    }
  }
  std::string ahead;
};

template <class Condition>
bool soon(Condition holds, milliseconds patience = 10s) {
  const auto until = monotonic::now() + patience;
  while (!holds() && monotonic::now() < until)
    std::this_thread::sleep_for(10ms);
  return holds();
}

SCENARIO("curl talks to a node over its unix socket") {
  auto here = node{};
  struct stat facts {};
  REQUIRE(::stat(here.socket().c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  CHECK(local(here, "/v1/version").find("\"version\":\"1.2.3\"") != std::string::npos);
  CHECK(local(here, "/v1/nope").find("\"fault\":\"not_found\"") != std::string::npos);
  CHECK(local(here, "/livez") == "ok\n");
  CHECK(local(here, "/readyz?verbose") == "ok\n");
  CHECK(local(here, "/v1/version", {"-I"}).find("200 OK") != std::string::npos);
  CHECK(local(here, "/v1/version", {"--http1.0"}).find("1.2.3") != std::string::npos);
  WHEN("a body is sent, plain or in chunks, small or large") {
    const auto put = [&](const std::string& body, std::vector<std::string> more = {}) {
      std::ofstream{here.home.path / "body"} << body;
      more.insert(more.end(), {"-X", "PUT", "--data-binary", "@" + (here.home.path / "body").string()});
      return local(here, "/v1/workloads/web", std::move(more));
    };
    auto labels = std::string{};
    for (auto i = 0; i < 5'000; ++i)
      labels += (i > 0 ? ",\"label-" : "\"label-") + std::to_string(i) + "\":\"" + std::string(20, 'v') + "\"";
    const auto large = "{\"labels\":{" + labels + "}}";
    CHECK(put("{}").find("\"effect\":\"created\"") != std::string::npos);
    CHECK(put(large).find("\"generation\":\"5000\"") != std::string::npos);
    CHECK(put(large, {"-H", "Transfer-Encoding: chunked"}).find("\"generation\":\"5000\"") != std::string::npos);
    CHECK(put(std::string(9 << 20, ' ')).find("\"status\":413") != std::string::npos);
    CHECK(put("{}", {"-H", "Content-Encoding: gzip"}).find("\"status\":415") != std::string::npos);
  }
  WHEN("several requests follow one another") {
    CHECK(local(here, "/livez", {"-w", "%{num_connects}", "http://node/livez"}).find("0") != std::string::npos);
  }
}

SCENARIO("metrics satisfy promtool") {
  if (::access("/usr/bin/promtool", X_OK) != 0) {
    MESSAGE("skipped: there is no promtool");
    return;
  }
  auto here = node{};
  local(here, "/v1/version");
  local(here, "/nowhere");
  const auto text = local(here, "/metrics");
  CHECK(text.find("novacron_http_requests_total{code=\"200\",method=\"GET\",route=\"/v1/version\"} 1\n") != std::string::npos);
  CHECK(text.find("novacron_http_connections{entrance=\"unix\"} 1\n") != std::string::npos);
  const auto checked = host::run({.argv = {"promtool", "check", "metrics"}}, 20s, text);
  CHECK_MESSAGE(checked.how.code == 0, checked.err);
  CHECK(checked.err.empty());
}

SCENARIO("the alerts that we ship are valid") {
  if (::access("/usr/bin/promtool", X_OK) != 0) {
    MESSAGE("skipped: there is no promtool");
    return;
  }
  const auto checked = host::run({.argv = {"promtool", "check", "rules", HOUSE_ROOT "/share/prometheus/novacron.rules.yml"}}, 20s);
  CHECK_MESSAGE(checked.how.code == 0, checked.err);
}

SCENARIO("a socket belongs to who listens at it") {
  auto here = node{};
  CHECK_THROWS_AS(api::enter_by_unix(here.socket()), std::system_error);
  CHECK(local(here, "/livez") == "ok\n");
  const auto stale = here.home.path / "stale.sock";
  {
    const auto fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    auto address = sockaddr_un{.sun_family = AF_UNIX};
    stale.string().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
  }
  CHECK(api::enter_by_unix(stale));
  CHECK_FALSE(fs::exists(stale));
  std::ofstream{stale} << "a file";
  CHECK_THROWS_AS(api::enter_by_unix(stale), std::system_error);
  const auto deep = here.home.path / std::string(90, 'd');
  fs::create_directories(deep);
  CHECK(api::enter_by_unix(deep / "a-rather-long-name.sock"));
}

SCENARIO("over TLS everybody may do what their certificate says") {
  auto here = node{{}, true};
  const auto person = here.papers(here.authority, "ann", "person");
  const auto edge = here.papers(here.authority, "edge-1", "edge");
  const auto stranger = here.papers(host::make_authority("other", std::chrono::system_clock::now()), "eve", "person");
  CHECK(remote(here, "/livez") == "200");
  CHECK(remote(here, "/v1/nodes") == "401");
  CHECK(remote(here, "/v1/join", {}, {"-d", R"({"token":"t","name":"edge-9","role":"edge"})"}) == "200");
  CHECK(remote(here, "/v1/nodes", person) == "200");
  CHECK(remote(here, "/v1/workloads/web", person, {"-X", "PUT", "-d", "{}"}) == "201");
  CHECK(remote(here, "/v1/nodes", edge) == "200");
  CHECK(remote(here, "/v1/workloads/web", edge, {"-X", "PUT", "-d", "{}"}) == "403");
  CHECK(remote(here, "/v1/nodes", stranger).find("[curl") != std::string::npos);
  CHECK(remote(here, "/livez", {}, {"--tls-max", "1.2"}).find("[curl") != std::string::npos);
  CHECK(curl_to({"http://127.0.0.1:" + std::to_string(here.serving->port()) + "/livez"}).find("[curl") != std::string::npos);
  CHECK(remote(here, "/livez") == "200");
  CHECK(soon([&] { return here.connections("tls") == 0; }));
}

SCENARIO("events and logs stream until somebody ends them") {
  auto here = node{};
  const auto events = local(here, "/v1/events", {"-N", "--max-time", "1", "-H", "Accept: text/event-stream", "-H", "Last-Event-ID: 41"});
  CHECK(events.starts_with("retry: 1000\n\nid: 42\nevent: node.arrived\ndata: {\"number\":\"42\","));
  CHECK(events.find("id: 43\n") != std::string::npos);
  CHECK(soon([&] { return here.connections("unix") == 0; }));
  WHEN("the node stops") {
    const auto out = here.home.path / "stream";
    const auto watching = host::start({.argv = {"curl", "-sS", "-N", "--limit-rate", "10M", "-o", out, "--unix-socket", here.socket(),
                                                "http://node/v1/instances/web.0/logs?follow=true"}});
    CHECK(soon([&] { return fs::exists(out) && fs::file_size(out) > 0; }));
    const auto start = monotonic::now();
    here.serving->stop(5s);
    CHECK(monotonic::now() - start < 5s);
    auto ended = false;
    auto loop = host::loop{};
    auto how = std::atomic<int>{-1};
    host::when_ended(loop, watching, [&](host::ending x) { how = x.code; });
    ended = soon([&] { return how >= 0; });
    CHECK(ended);
    CHECK(how == 0); // the stream was ended, not torn
  }
}

SCENARIO("clients without manners do not hurt") {
  auto here = node{{.connections_max = 8, .head_max = 300ms, .body_max = 300ms, .write_max = 300ms, .idle_max = 300ms}};
  const auto reason = [&](const char* why) {
    return here.numbers
        ->count("http_refused_total", "Connections and requests refused before they reached a route.", {{"entrance", "unix"}, {"reason", why}})
        .value();
  };
  WHEN("one sends its request a byte at a time") {
    const auto slow = raw{here.socket()};
    const auto start = monotonic::now();
    while (slow.send("G") && monotonic::now() - start < 5s)
      std::this_thread::sleep_for(20ms);
    THEN("it is cut off") { CHECK(monotonic::now() - start < 3s); }
  }
  WHEN("one says nothing") {
    CHECK(raw{here.socket()}.rest().empty());
  }
  WHEN("one promises a body that never comes") {
    const auto liar = raw{here.socket()};
    liar.send("PUT /v1/workloads/web HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    CHECK(liar.rest().starts_with("HTTP/1.1 408"));
  }
  WHEN("one sends rubbish") {
    for (const auto* rubbish : {"\x16\x03\x01\x02 TLS\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"}) {
      const auto x = raw{here.socket()};
      x.send(rubbish);
      CHECK(x.rest().starts_with("HTTP/1.1 400"));
    }
    const auto endless = raw{here.socket()};
    endless.send("GET / HTTP/1.1\r\nX: " + std::string(40'000, 'x'));
    CHECK(endless.rest().starts_with("HTTP/1.1 431"));
  }
  WHEN("one asks for a long answer and does not read it") {
    const auto lazy = raw{here.socket()};
    lazy.send("GET /v1/instances/web.0/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(soon([&] { return here.connections("unix") == 1; }));
    THEN("it is dropped") { CHECK(soon([&] { return here.connections("unix") == 0; })); }
  }
  WHEN("too many come at once") {
    auto crowd = std::vector<std::unique_ptr<raw>>{};
    for (auto i = 0; i < 20; ++i)
      crowd.push_back(std::make_unique<raw>(here.socket()));
    CHECK(soon([&] { return reason("crowd") >= 12; }));
    crowd.clear();
  }
  WHEN("several requests come in one piece") {
    auto eager = raw{here.socket()};
    eager.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/version HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(eager.answer().ends_with("ok\n"));
    CHECK(eager.answer().find("1.2.3") != std::string::npos);
    CHECK(eager.answer().starts_with("HTTP/1.1 404"));
  }
  CHECK(soon([&] { return here.connections("unix") == 0; }));
  CHECK(local(here, "/livez") == "ok\n");
}

/// A ClientHello as curl would say it, from a TLS session that has nobody to talk to.
std::string hello_of_tls() {
  const auto context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
  const auto session = std::unique_ptr<SSL, decltype(&SSL_free)>{SSL_new(context.get()), &SSL_free};
  auto* out = BIO_new(BIO_s_mem());
  SSL_set_bio(session.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(session.get());
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// Connections of a rude client to the TLS address of a node, each with `text` sent and open until the end.
struct rude_crowd {
  std::vector<int> fds;
  rude_crowd(std::uint16_t port, int count, std::string_view text) {
    for (auto i = 0; i < count; ++i) {
      const auto fd = fds.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      auto address = sockaddr_in{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
      REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
      ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    }
  }
  ~rude_crowd() {
    for (const auto fd : fds)
      ::close(fd);
  }
};

/// What a request of somebody with manners takes among the others.
template <class Request>
void check_is_heard(Request request) {
  const auto start = monotonic::now();
  request();
  CHECK(monotonic::now() - start < 1s);
}

SCENARIO("many slow clients hold nobody up, neither at the unix socket nor at the TLS address") {
  auto here = node{{}, true};
  const auto port = here.serving->port();
  const auto heard_far = [&] { CHECK(remote(here, "/livez", {}, {"--max-time", "5"}) == "200"); };
  const auto heard_near = [&] { CHECK(local(here, "/livez", {"--max-time", "5"}) == "ok\n"); };
  const auto many = [&](int count, std::string_view text) {
    auto all = std::vector<std::unique_ptr<raw>>{};
    for (auto i = 0; i < count; ++i)
      all.emplace_back(std::make_unique<raw>(here.socket()))->send(text);
    return all;
  };
  WHEN("more than may come in say nothing") {
    const auto far = rude_crowd{port, 300, {}};
    const auto near = many(300, {});
    check_is_heard(heard_far);
    check_is_heard(heard_near);
  }
  WHEN("more than there are threads stop in the middle of a handshake") {
    const auto hello = hello_of_tls();
    const auto far = rude_crowd{port, 100, std::string_view{hello}.substr(0, hello.size() / 2)};
    std::this_thread::sleep_for(100ms);
    check_is_heard(heard_far);
  }
  WHEN("they stop after the first flight of the handshake") {
    const auto far = rude_crowd{port, 100, hello_of_tls()};
    std::this_thread::sleep_for(100ms);
    check_is_heard(heard_far);
  }
  WHEN("they stop in the middle of a head, or go on with it a byte at a time") {
    const auto near = many(100, "GET /livez HTTP/1.1\r\nHost:");
    const auto dribbling = many(100, "GET /livez HTTP/1.1\r\nX: ");
    auto over = std::atomic<bool>{false};
    auto dribble = std::thread{[&] {
      for (; !over; std::this_thread::sleep_for(5ms))
        for (const auto& x : dribbling)
          x->send("x");
    }};
    std::this_thread::sleep_for(100ms);
    check_is_heard(heard_near);
    over = true;
    dribble.join();
  }
  WHEN("they promise bodies that do not come") {
    const auto near = many(300, "PUT /v1/workloads/web HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
    std::this_thread::sleep_for(100ms);
    check_is_heard(heard_near);
  }
  WHEN("they do not read what they ask for") {
    auto questions = std::string{};
    for (auto i = 0; i < 50; ++i)
      questions += "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    const auto near = many(100, questions);
    std::this_thread::sleep_for(500ms);
    check_is_heard(heard_near);
  }
  WHEN("they ask rubbish and do not go when they were told so") {
    const auto near = many(100, "rubbish\r\n\r\n");
    check_is_heard(heard_near);
  }
}

SCENARIO("a crowd from one address leaves room for others") {
  auto here = node{{.connections_max = 16, .neighbours_max = 8, .head_max = 10s}, true};
  const auto far = rude_crowd{here.serving->port(), 12, {}};
  // The first four made room for the last.
  CHECK(soon([&] { return here.connections("tls") == 8; }));
  const auto gone = [&](int fd) {
    auto byte = char{};
    return ::recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
  };
  CHECK(soon([&] { return gone(far.fds[3]); }));
  CHECK_FALSE(gone(far.fds[4]));
  CHECK_FALSE(gone(far.fds[11]));
}

SCENARIO("a node that stops lets requests finish, and is not ready from the first moment") {
  auto here = node{};
  auto slow = raw{here.socket()};
  auto kept = raw{here.socket()};
  kept.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(kept.answer().starts_with("HTTP/1.1 200"));
  slow.send("POST /v1/instances/web.0:exec HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
  std::this_thread::sleep_for(100ms);
  here.serving->leave();
  kept.send("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(kept.answer().starts_with("HTTP/1.1 503"));
  here.serving->stop(10s);
  const auto answer = slow.answer();
  CHECK(answer.starts_with("HTTP/1.1 200"));
  CHECK(answer.find("\"session\":\"s1\"") != std::string::npos);
  CHECK_FALSE(fs::exists(here.socket()));
}

SCENARIO("requests are quick") {
  auto here = node{};
  auto one = raw{here.socket()};
  auto took = std::vector<double>{};
  for (auto i = 0; i < 2'000; ++i) {
    const auto start = monotonic::now();
    one.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(one.answer().ends_with("ok\n"));
    took.push_back(std::chrono::duration<double>(monotonic::now() - start).count());
  }
  std::ranges::sort(took);
  MESSAGE("a request through socket, route and actor: p50 " << took[took.size() / 2] * 1e6 << " us, p99 " << took[took.size() * 99 / 100] * 1e6 << " us");
  CHECK(took[took.size() / 2] < 0.02);
}

} // namespace
