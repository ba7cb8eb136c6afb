#include "actors/host/secure_file.hpp"
#include "actors/host/tls.hpp"

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <map>

using namespace novacron;
using namespace std::chrono_literals;
using host::refusal;

namespace {

const auto noon = host::wall_time{} + 1'800'000'000s;

/// A directory that is gone at the end.
struct scratch {
  std::filesystem::path path;
  scratch() {
    auto pattern = (std::filesystem::temp_directory_path() / "novacron-tls-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~scratch() { std::filesystem::remove_all(path); }
};

void lay_out(const std::filesystem::path& at, const std::string& authority, const std::string& certificate,
             const std::string& key) {
  std::filesystem::create_directories(at);
  const auto files = host::trust_files_in(at);
  host::write_atomically(files.authority, authority);
  host::write_atomically(files.certificate, certificate);
  host::write_atomically(files.key, key, 0600);
}

/// Two authorities, and a node of the first as the server.
struct fabric {
  scratch home;
  host::key_and_certificate authority = host::make_authority("demo", noon - 48h);
  std::shared_ptr<host::deny_list> denied = std::make_shared<host::deny_list>();
  std::map<refusal, int> refused;
  host::wall_time now = noon;

  std::filesystem::path admit(const std::string& name, const std::string& role, host::wall_time at = noon) {
    return admit_by(authority, name, role, at);
  }
  std::filesystem::path admit_by(const host::key_and_certificate& by, const std::string& name, const std::string& role,
                                 host::wall_time at = noon) {
    const auto key = host::make_key();
    const auto path = home.path / (name + '-' + role);
    lay_out(path, authority.certificate, host::issue(by, host::make_request(key, name, role), name, role, at), key);
    return path;
  }
  host::tls_settings server(std::vector<std::string> roles = {}) {
    return {.directory = admit("cloud-1", "cloud"),
            .roles = std::move(roles),
            .denied = denied,
            .refused = [this](refusal why, std::string_view) { ++refused[why]; },
            .now = [this] { return now; }};
  }
  host::tls_settings client(std::filesystem::path directory, std::string peer = {}) {
    return {.directory = std::move(directory), .side = host::tls_side::client, .peer = std::move(peer), .now = [this] {
              return now;
            }};
  }
};

using connection = std::unique_ptr<SSL, decltype(&SSL_free)>;

/// Both ends of a connection without a socket.
struct wire_pair {
  connection server;
  connection client;
  bool met = false;

  wire_pair(SSL_CTX* serving, SSL_CTX* calling)
      : server{SSL_new(serving), SSL_free}, client{SSL_new(calling), SSL_free} {
    BIO* one = nullptr;
    BIO* other = nullptr;
    BIO_new_bio_pair(&one, 1 << 17, &other, 1 << 17);
    SSL_set_bio(server.get(), one, one);
    SSL_set_bio(client.get(), other, other);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    auto left = -1;
    auto right = -1;
    for (auto i = 0; i < 16 && (left != 1 || right != 1); ++i) {
      right = right == 1 ? 1 : SSL_do_handshake(client.get());
      left = left == 1 ? 1 : SSL_do_handshake(server.get());
    }
    met = left == 1 && right == 1;
    host::tls_problem();
  }
  std::string carry(const std::string& text) const {
    SSL_write(client.get(), text.data(), static_cast<int>(text.size()));
    auto block = std::string(100, '\0');
    const auto count = SSL_read(server.get(), block.data(), 100);
    return block.substr(0, static_cast<std::size_t>(std::max(count, 0)));
  }
};

using bare_context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

/// A client of our making that obeys none of our rules.
bare_context rogue(const std::filesystem::path& credentials = {}) {
  auto made = bare_context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  SSL_CTX_set_verify(made.get(), SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_security_level(made.get(), 0);
  if (!credentials.empty()) {
    SSL_CTX_use_certificate_file(made.get(), (credentials / "cert.pem").c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(made.get(), (credentials / "key.pem").c_str(), SSL_FILETYPE_PEM);
  }
  return made;
}

/// A certificate from `by` with other names than ours.
std::string strange_certificate(const host::key_and_certificate& by, const std::string& key, const char* names) {
  auto in = [](const std::string& text) { return BIO_new_mem_buf(text.data(), static_cast<int>(text.size())); };
  auto* a = in(by.certificate);
  auto* b = in(by.key);
  auto* c = in(key);
  auto* issuer = PEM_read_bio_X509(a, nullptr, nullptr, nullptr);
  auto* issuer_key = PEM_read_bio_PrivateKey(b, nullptr, nullptr, nullptr);
  auto* own_key = PEM_read_bio_PrivateKey(c, nullptr, nullptr, nullptr);
  auto* made = X509_new();
  X509_set_version(made, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made), 77);
  ASN1_TIME_set(X509_getm_notBefore(made), std::chrono::system_clock::to_time_t(noon - 1h));
  ASN1_TIME_set(X509_getm_notAfter(made), std::chrono::system_clock::to_time_t(noon + 1h));
  X509_set_issuer_name(made, X509_get_subject_name(issuer));
  X509_set_pubkey(made, own_key);
  if (names != nullptr) {
    auto* extension = X509V3_EXT_nconf_nid(nullptr, nullptr, NID_subject_alt_name, names);
    X509_add_ext(made, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(made, issuer_key, EVP_sha256());
  auto* out = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(out, made);
  char* bytes = nullptr;
  const auto length = BIO_get_mem_data(out, &bytes);
  auto text = std::string{bytes, static_cast<std::size_t>(length)};
  for (auto* x : {a, b, c, out})
    BIO_free(x);
  X509_free(made);
  X509_free(issuer);
  EVP_PKEY_free(issuer_key);
  EVP_PKEY_free(own_key);
  return text;
}

} // namespace

SCENARIO("two nodes of one fabric meet and know each other") {
  auto demo = fabric{};
  const auto server = host::make_tls_context(demo.server());
  const auto client = host::make_tls_context(demo.client(demo.admit("edge-1", "edge"), "cloud-1"));
  const auto meeting = wire_pair{server->native(), client->native()};
  REQUIRE(meeting.met);
  CHECK(host::peer_identity(meeting.server.get())->name == "edge-1");
  CHECK(host::peer_identity(meeting.client.get())->role == "cloud");
  CHECK(meeting.carry("good morning") == "good morning");
  CHECK(std::string{SSL_get_version(meeting.server.get())} == "TLSv1.3");
  CHECK(server->self().name == "cloud-1");
  CHECK(demo.refused.empty());
  THEN("a private key is for its owner only") {
    struct stat facts {};
    ::stat((demo.home.path / "edge-1-edge" / "key.pem").c_str(), &facts);
    CHECK((facts.st_mode & 0777) == 0600);
  }
}

SCENARIO("who has no valid certificate is refused, by class, and the listener survives") {
  auto demo = fabric{};
  const auto elsewhere = host::make_authority("demo", noon - 48h);
  const auto context = host::make_tls_context(demo.server({"edge", "cloud"}));
  const auto friendly = host::make_tls_context(demo.client(demo.admit("edge-9", "edge")));
  auto attempt = [&](const bare_context& who) {
    demo.refused.clear();
    const auto meeting = wire_pair{context->native(), who.get()};
    CHECK_FALSE(meeting.met);
    CHECK(wire_pair{context->native(), friendly->native()}.met);
    REQUIRE(demo.refused.size() == 1);
    CHECK(demo.refused.begin()->second == 1);
    CHECK(host::refusal_of(meeting.server.get()) == demo.refused.begin()->first);
    return demo.refused.begin()->first;
  };
  auto strange = [&](const char* names) {
    const auto key = host::make_key();
    const auto path = demo.home.path / "strange";
    lay_out(path, demo.authority.certificate, strange_certificate(demo.authority, key, names), key);
    return rogue(path);
  };
  WHEN("there is none") {
    CHECK(attempt(rogue()) == refusal::no_certificate);
  }
  WHEN("it is self-signed") {
    const auto path = demo.home.path / "self";
    lay_out(path, elsewhere.certificate, elsewhere.certificate, elsewhere.key);
    CHECK(attempt(rogue(path)) == refusal::self_signed);
  }
  WHEN("another authority made it, even one of the same name") {
    CHECK(attempt(rogue(demo.admit_by(elsewhere, "edge-1", "edge"))) == refusal::wrong_authority);
  }
  WHEN("it has expired") {
    CHECK(attempt(rogue(demo.admit("edge-1", "edge", noon - 25h))) == refusal::expired);
  }
  WHEN("it is not yet valid") {
    CHECK(attempt(rogue(demo.admit("edge-1", "edge", noon + 1h))) == refusal::not_yet_valid);
  }
  WHEN("its role may not speak here") {
    CHECK(attempt(rogue(demo.admit("gpu-1", "gpu"))) == refusal::wrong_role);
  }
  WHEN("it names nobody") {
    CHECK(attempt(strange(nullptr)) == refusal::no_identity);
    CHECK(attempt(strange("DNS:edge-1")) == refusal::no_identity);
    CHECK(attempt(strange("URI:novacron://king/edge-1")) == refusal::no_identity);
    CHECK(attempt(strange("URI:novacron://edge/../cloud")) == refusal::no_identity);
    CHECK(attempt(strange("URI:novacron://edge/edge-1,URI:novacron://cloud/cloud-1")) == refusal::no_identity);
  }
  WHEN("its serial is denied") {
    const auto path = demo.admit("edge-1", "edge");
    demo.denied->add(host::read_identity(*host::read_small_file(path / "cert.pem"))->serial);
    CHECK(attempt(rogue(path)) == refusal::denied);
  }
  WHEN("the protocol is old") {
    for (const auto version : {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION}) {
      const auto old = rogue(demo.admit("edge-1", "edge"));
      SSL_CTX_set_max_proto_version(old.get(), version);
      CHECK(attempt(old) == refusal::old_protocol);
    }
  }
  WHEN("there is no TLS at all") {
    const auto alone = connection{SSL_new(context->native()), SSL_free};
    auto* in = BIO_new(BIO_s_mem());
    BIO_puts(in, "GET / HTTP/1.1\r\nHost: cloud-1\r\n\r\n");
    SSL_set_bio(alone.get(), in, BIO_new(BIO_s_mem()));
    CHECK(SSL_accept(alone.get()) != 1);
    host::tls_problem();
    CHECK(wire_pair{context->native(), friendly->native()}.met);
  }
}

SCENARIO("a client refuses a server that is not the one it means") {
  auto demo = fabric{};
  const auto server = host::make_tls_context(demo.server());
  const auto mine = demo.admit("edge-1", "edge");
  const auto meant = host::make_tls_context(demo.client(mine, "cloud-2"));
  const auto meeting = wire_pair{server->native(), meant->native()};
  CHECK_FALSE(meeting.met);
  CHECK(host::refusal_of(meeting.client.get()) == refusal::wrong_name);
}

SCENARIO("a renewed certificate is shown without a restart") {
  auto demo = fabric{};
  const auto server = host::make_tls_context(demo.server());
  const auto path = demo.admit("edge-1", "edge");
  const auto client = host::make_tls_context(demo.client(path));
  auto serial = [&] {
    const auto meeting = wire_pair{server->native(), client->native()};
    return meeting.met ? host::peer_identity(meeting.server.get())->serial : "";
  };
  const auto before = serial();
  const auto key = *host::read_small_file(path / "key.pem");
  const auto renewed = host::issue(demo.authority, host::make_request(key, "edge-1", "edge"), "edge-1", "edge", noon);
  host::write_atomically(path / "cert.pem", renewed);
  CHECK(serial() == host::read_identity(renewed)->serial);
  CHECK(serial() != before);
  THEN("files that do not belong together are not taken") {
    host::write_atomically(path / "key.pem", host::make_key(), 0600);
    CHECK(serial() == host::read_identity(renewed)->serial);
  }
  THEN("a serial denied later is refused at the next handshake") {
    demo.denied->add(host::read_identity(renewed)->serial);
    CHECK(serial().empty());
  }
}

SCENARIO("who joins believes only the authority its token names") {
  auto demo = fabric{};
  auto open = demo.server();
  open.certificate_required = false;
  open.sends_authority = true;
  const auto server = host::make_tls_context(open);
  auto clock = [&] { return demo.now; };
  THEN("the right one is believed, and its certificate learned") {
    const auto joining = host::joining_context{host::fingerprint(demo.authority.certificate), clock};
    const auto meeting = wire_pair{server->native(), joining.native()};
    CHECK(meeting.met);
    CHECK(joining.authority() == demo.authority.certificate);
    CHECK_FALSE(host::peer_identity(meeting.server.get()));
  }
  THEN("another one is not") {
    const auto joining =
        host::joining_context{host::fingerprint(host::make_authority("demo", noon).certificate), clock};
    CHECK_FALSE(wire_pair{server->native(), joining.native()}.met);
    CHECK(joining.authority().empty());
  }
  THEN("nor is a mere edge node of the right fabric") {
    auto posing = open;
    posing.directory = demo.admit("edge-1", "edge");
    const auto poser = host::make_tls_context(posing);
    const auto joining = host::joining_context{host::fingerprint(demo.authority.certificate), clock};
    CHECK_FALSE(wire_pair{poser->native(), joining.native()}.met);
  }
  THEN("a bad certificate is refused even where none is required") {
    CHECK_FALSE(wire_pair{server->native(), rogue(demo.admit("edge-1", "edge", noon - 25h)).get()}.met);
  }
}

SCENARIO("trust files that are missing or do not belong together stop the start") {
  auto demo = fabric{};
  const auto path = demo.admit("edge-1", "edge");
  CHECK_THROWS_AS(host::make_tls_context({.directory = demo.home.path / "nowhere"}), std::system_error);
  host::write_atomically(path / "key.pem", host::make_key(), 0600);
  CHECK_THROWS_AS(host::make_tls_context({.directory = path}), host::certificate_error);
  host::write_atomically(path / "key.pem", "nonsense", 0600);
  CHECK_THROWS_AS(host::make_tls_context({.directory = path}), host::certificate_error);
}
