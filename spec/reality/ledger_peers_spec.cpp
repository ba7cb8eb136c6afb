/// Who may be a voter: each stranger is refused and counted, and the voters go on.

#include "actors/host/tls.hpp"
#include "actors/state/voter_transport.hpp"
#include "spec/reality/ledger_fixture.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

using namespace spec;

namespace {

int dial(const std::string& address) {
  auto to = sockaddr_in{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  return fd;
}

/// What a voter says first.
std::string preamble(const std::string& node) {
  auto id = ledger::voter_id(node);
  const auto address = node + "@127.0.0.1:1";
  auto out = std::string{"NVVOTER1"};
  for (auto x : {id, std::uint64_t{address.size()}})
    for (auto i = 0; i < 8; ++i)
      out.push_back(static_cast<char>(x >> (8 * i)));
  return out + address;
}

/// Shakes hands on this context and says to be `node`. True when it was welcomed.
bool welcomed(const std::string& address, SSL_CTX* context, const std::string& node) {
  const auto fd = dial(address);
  auto* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  auto answer = '\0';
  const auto said = preamble(node);
  const auto good = SSL_connect(ssl) == 1 && SSL_write(ssl, said.data(), static_cast<int>(said.size())) > 0 &&
                    SSL_read(ssl, &answer, 1) == 1 && answer == 'W';
  SSL_free(ssl);
  ::close(fd);
  return good;
}

/// The same with the papers of a directory.
bool welcomed(const std::string& address, const fs::path& papers, const std::string& node) {
  return welcomed(address, host::make_tls_context({.directory = papers, .side = host::tls_side::client})->native(),
                  node);
}

/// What somebody's own program would bring, which believes everybody.
struct own_context {
  SSL_CTX* native = SSL_CTX_new(TLS_client_method());
  own_context() = default;
  own_context(const own_context&) = delete;
  own_context& operator=(const own_context&) = delete;
  ~own_context() { SSL_CTX_free(native); }
  void bring(const fs::path& papers) const {
    REQUIRE(SSL_CTX_use_certificate_file(native, (papers / "cert.pem").c_str(), SSL_FILETYPE_PEM) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey_file(native, (papers / "key.pem").c_str(), SSL_FILETYPE_PEM) == 1);
  }
};

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("only voters' certificates open the door between voters") {
  auto where = directory{};
  auto papers = authority{};
  auto group =
      ledger::voter_group{{.program = program, .directory = where.path, .trust = where.path / "trust", .count = 1}};
  papers.issue(where.path / "trust" / "voter-1", "voter-1", "cloud");
  papers.issue(where.path / "friend", "friend", "hybrid");
  group.start_all();
  const auto address = group.options(0).address;
  CHECK(welcomed(address, where.path / "friend", "friend"));
  auto refused = std::uint64_t{0};
  auto counted = [&] { return eventually([&] { return group.status(0).refused() > refused; }); };

  SUBCASE("another authority's certificate") {
    authority{}.issue(where.path / "foreign", "friend", "cloud");
    // It knows whom to believe, but is not believed itself.
    std::ofstream{where.path / "foreign" / "ca.pem"} << papers.root.certificate;
    CHECK_FALSE(welcomed(address, where.path / "foreign", "friend"));
  }
  SUBCASE("a worker's certificate") {
    papers.issue(where.path / "edge", "edge-1", "edge");
    CHECK_FALSE(welcomed(address, where.path / "edge", "edge-1"));
  }
  SUBCASE("a certificate of another name") {
    CHECK_FALSE(welcomed(address, where.path / "friend", "voter-1"));
  }
  SUBCASE("an expired certificate") {
    papers.issue(where.path / "old", "old", "cloud", std::chrono::seconds{1});
    std::this_thread::sleep_for(1500ms);
    CHECK_FALSE(welcomed(address, where.path / "old", "old"));
  }
  SUBCASE("a certificate of tomorrow") {
    papers.issue(where.path / "early", "early", "cloud", std::chrono::hours{1}, std::chrono::hours{24});
    CHECK_FALSE(welcomed(address, where.path / "early", "early"));
  }
  SUBCASE("no certificate") {
    CHECK_FALSE(welcomed(address, own_context{}.native, "friend"));
  }
  SUBCASE("a certificate that vouches for itself") {
    const auto own = host::make_authority("friend", std::chrono::system_clock::now());
    fs::create_directories(where.path / "own");
    std::ofstream{where.path / "own" / "cert.pem"} << own.certificate;
    std::ofstream{where.path / "own" / "key.pem"} << own.key;
    const auto context = own_context{};
    context.bring(where.path / "own");
    CHECK_FALSE(welcomed(address, context.native, "friend"));
  }
  SUBCASE("an older TLS") {
    const auto context = own_context{};
    context.bring(where.path / "friend");
    CHECK_MESSAGE(welcomed(address, context.native, "friend"), "these papers are good");
    SSL_CTX_set_max_proto_version(context.native, TLS1_2_VERSION);
    CHECK_FALSE(welcomed(address, context.native, "friend"));
  }
  SUBCASE("one who connects and says nothing") {
    // Longer than the others; the listener is free meanwhile.
    const auto fd = dial(address);
    CHECK(welcomed(address, where.path / "friend", "friend"));
    auto waiting = pollfd{fd, POLLIN, 0};
    CHECK(::poll(&waiting, 1, 20'000) == 1);
    auto byte = '\0';
    CHECK(::recv(fd, &byte, 1, 0) <= 0);
    ::close(fd);
  }
  SUBCASE("no TLS at all") {
    const auto fd = dial(address);
    const auto said = preamble("friend");
    CHECK(::send(fd, said.data(), said.size(), MSG_NOSIGNAL) > 0);
    auto waiting = pollfd{fd, POLLIN, 0};
    CHECK(::poll(&waiting, 1, 5000) == 1);
    ::close(fd);
  }
  SUBCASE("a megabyte of rubbish") {
    const auto fd = dial(address);
    const auto rubbish = std::string(1u << 20, '\x16');
    ::send(fd, rubbish.data(), rubbish.size(), MSG_NOSIGNAL);
    ::close(fd);
  }
  CHECK(counted());
  CHECK(put(group, "still", "there"));
  CHECK(welcomed(address, where.path / "friend", "friend"));
}

TEST_SUITE_END();
