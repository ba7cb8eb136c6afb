#include "actors/migration/tls_channel.hpp"

#include "actors/host/certificate.hpp"
#include "actors/host/secure_file.hpp"
#include "spec/workload/temporary.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace novacron::migration;
using namespace std::chrono_literals;
using host::tls_side;

namespace {

/// Two ends of a connection by TCP.
struct ends {
  int near = -1;
  int far = -1;
};

ends connect_here() {
  const auto listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto here = sockaddr_in{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto size = static_cast<socklen_t>(sizeof here);
  auto* const at = reinterpret_cast<sockaddr*>(&here);
  REQUIRE(::bind(listener, at, size) == 0);
  REQUIRE(::listen(listener, 1) == 0);
  REQUIRE(::getsockname(listener, at, &size) == 0);
  auto both = ends{};
  both.near = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(both.near, at, size) == 0);
  both.far = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  return both;
}

struct fabric {
  spec::temporary home;
  host::wall_time now = std::chrono::system_clock::now();
  host::key_and_certificate authority = host::make_authority("demo", now - 1h);

  std::shared_ptr<host::tls_context> node(const std::string& name, tls_side side, const std::string& peer = {}) {
    return node_of(authority, name, side, peer);
  }
  /// One whose certificate is from `by`, and who takes our authority for its own.
  std::shared_ptr<host::tls_context> node_of(const host::key_and_certificate& by, const std::string& name,
                                             tls_side side, const std::string& peer = {}) {
    const auto place = home.path() / (name + std::to_string(++made));
    std::filesystem::create_directories(place);
    const auto files = host::trust_files_in(place);
    const auto key = host::make_key();
    host::write_atomically(files.authority, authority.certificate);
    host::write_atomically(files.certificate,
                           host::issue(by, host::make_request(key, name, "edge"), name, "edge", now - 1min));
    host::write_atomically(files.key, key, 0600);
    return host::make_tls_context({.directory = place, .side = side, .peer = peer});
  }
  int made = 0;
};

std::unique_ptr<channel> shake(int fd, const host::tls_context& by, tls_side side) {
  return make_tls_channel(fd, by, side, 2s);
}

/// What the listening end says of whoever called; empty when it let him in.
std::string refusal_of(fabric& here, const std::function<void(int)>& call) {
  const auto both = connect_here();
  const auto context = here.node("edge-2", tls_side::server);
  auto caller = std::async(std::launch::async, [&] { call(both.near); });
  auto said = std::string{};
  try {
    const auto way = make_tls_channel(both.far, *context, tls_side::server, 300ms);
    auto byte = std::byte{};
    way->receive({&byte, 1});
  } catch (const migration_error& problem) {
    said = problem.what();
  }
  caller.get();
  return said;
}

} // namespace

SCENARIO("two nodes of a fabric carry bytes beneath TLS, and see how fast their link is") {
  auto here = fabric{};
  const auto both = connect_here();
  const auto serving = here.node("edge-2", tls_side::server);
  const auto calling = here.node("edge-1", tls_side::client, "edge-2");
  auto taken = std::async(std::launch::async, [&] {
    const auto way = shake(both.far, *serving, tls_side::server);
    auto got = std::vector<std::byte>(3 << 20);
    auto at = std::size_t{0};
    while (at < got.size())
      if (const auto count = way->receive(std::span{got}.subspan(at)); count > 0)
        at += count;
      else
        break;
    way->send(std::as_bytes(std::span{"done", 4}));
    // An end that was cut off is not taken for one that has said all.
    auto byte = std::byte{};
    CHECK_THROWS_AS(way->receive({&byte, 1}), migration_error);
    return got;
  });
  auto words = std::vector<std::byte>(3 << 20);
  for (auto i = std::size_t{0}; i < words.size(); ++i)
    words[i] = static_cast<std::byte>(i * 7 / 3);
  {
    const auto way = shake(both.near, *calling, tls_side::client);
    way->send(words);
    auto answer = std::string(4, '\0');
    auto at = std::size_t{0};
    while (at < answer.size())
      at += way->receive(std::as_writable_bytes(std::span{answer}).subspan(at));
    CHECK(answer == "done");
    const auto seen = way->look();
    REQUIRE(seen);
    CHECK(seen->bytes >= words.size());
    CHECK(seen->rate > 0);
    CHECK_FALSE(seen->busy);
    way->close();
  }
  CHECK(taken.get() == words);
}

SCENARIO("whoever is not of the fabric, or not whom it should be, carries nothing") {
  auto here = fabric{};
  const auto foreign = host::make_authority("other", here.now - 1h);
  CHECK(refusal_of(here, [&](int fd) {
          const auto papers = here.node_of(foreign, "edge-1", tls_side::client);
          try {
            const auto way = shake(fd, *papers, tls_side::client);
            way->send(std::as_bytes(std::span{"x", 1}));
          } catch (const migration_error&) {
            // As it should be; with TLS 1.3 only the first word may tell.
          }
        }) != "");
  CHECK(refusal_of(here, [](int fd) {
          CHECK(::write(fd, "GET / HTTP/1.0\r\n\r\n", 18) == 18);
          std::this_thread::sleep_for(100ms);
          ::close(fd);
        }) != "");
  // Who says nothing is not waited for.
  CHECK(refusal_of(here, [](int fd) {
          std::this_thread::sleep_for(600ms);
          ::close(fd);
        }).find("neither took nor sent") != std::string::npos);
  // The source calls a node by its name; another one of the fabric answers.
  const auto both = connect_here();
  const auto serving = here.node("edge-3", tls_side::server);
  auto other = std::async(std::launch::async, [&] {
    try {
      const auto way = shake(both.far, *serving, tls_side::server);
      auto byte = std::byte{};
      way->receive({&byte, 1});
    } catch (const migration_error&) {
      // The caller has hung up.
    }
  });
  const auto calling = here.node("edge-1", tls_side::client, "edge-2");
  CHECK_THROWS_AS(shake(both.near, *calling, tls_side::client), migration_error);
  other.get();
}
