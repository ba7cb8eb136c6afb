#include "actors/node/credentials.hpp"

#include "actors/host/secure_file.hpp"
#include "actors/host/tls.hpp"
#include "actors/node/credentials_actor.hpp"
#include "spec/full_disk.hpp"
#include "spec/stage.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

const auto noon = host::wall_time{} + 1'800'000'000s;

/// A directory that is gone at the end.
struct scratch {
  std::filesystem::path path;
  scratch() {
    auto pattern = (std::filesystem::temp_directory_path() / "novacron-trust-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~scratch() { std::filesystem::remove_all(path); }
};

/// What fails here fails on purpose, and often.
struct hush {
  hush() { host::set_log_level("credentials", host::level::off); }
  ~hush() { host::clear_log_levels(); }
};

/// An authority that can be told to refuse.
struct desk {
  host::key_and_certificate authority;
  bool open = true;
  int asked = 0;
};

caf::behavior clerk(caf::event_based_actor*, std::shared_ptr<desk> at, std::function<host::wall_time()> now) {
  return {[=](const wire::CertificateRenewal& x) -> caf::result<wire::Certificate> {
    ++at->asked;
    if (!at->open)
      return caf::make_error(fault::unavailable, "closed");
    auto made = wire::Certificate{};
    made.set_authority(at->authority.certificate);
    made.set_certificate(host::issue(at->authority, x.request(), x.name(), x.role(), now()));
    return made;
  }};
}

} // namespace

SCENARIO("certificates are renewed at half life, not all at once") {
  const auto held = host::identity{"edge-1", "edge", "00", noon - host::certificate_backdate, noon + 24h};
  const auto settings = node::renewal_config{};
  CHECK(node::until_renewal(held, noon, 0.5, settings) == 12h);
  CHECK(node::until_renewal(held, noon, 0.0, settings) == 12h - 72min);
  CHECK(node::until_renewal(held, noon + 12h, 0.5, settings) == 0s);
  CHECK(node::until_renewal(held, noon + 99h, 0.9, settings) == 0s);
  // Of a short life too, though the certificate is dated back by more than that.
  const auto brief = host::identity{"edge-1", "edge", "00", noon - host::certificate_backdate, noon + 1min};
  CHECK(node::until_renewal(brief, noon, 0.5, settings) == 30s);
  CHECK(node::until_retry(1, 0, settings) == 500ms);
  CHECK(node::until_retry(1, 1, settings) == 1s);
  CHECK(node::until_retry(4, 1, settings) == 8s);
  CHECK(node::until_retry(1000, 1, settings) == 5min);
}

SCENARIO("a node has credentials for itself on its disk") {
  const auto home = scratch{};
  const auto cloud = home.path / "cloud-1" / "trust";
  const auto edge = home.path / "edge-1" / "trust";
  node::lay_authority(cloud, "demo", noon);
  const auto authority = node::read_authority(cloud);
  node::lay_certificate(cloud, cloud, "cloud-1", "cloud", noon, 24h);
  node::lay_certificate(cloud, edge, "edge-1", "edge", noon, 24h);
  CHECK(node::look_at_credentials(edge, "edge-1", "edge", noon).ready);
  CHECK_NOTHROW(host::make_tls_context({.directory = edge}));
  CHECK_FALSE(std::filesystem::exists(edge / "ca.key"));
  struct stat facts {};
  ::stat((cloud / "ca.key").c_str(), &facts);
  CHECK((facts.st_mode & 0777) == 0600);
  ::stat(cloud.c_str(), &facts);
  CHECK((facts.st_mode & 0777) == 0700);
  THEN("laying them again keeps what is good") {
    const auto before = host::read_small_file(edge / "cert.pem");
    node::lay_authority(cloud, "demo", noon + 1h);
    CHECK(node::read_authority(cloud).key == authority.key);
    node::lay_certificate(cloud, edge, "edge-1", "edge", noon + 11h, 24h);
    CHECK(host::read_small_file(edge / "cert.pem") == before);
    node::lay_certificate(cloud, edge, "edge-1", "edge", noon + 13h, 24h);
    CHECK(host::read_small_file(edge / "cert.pem") != before);
  }
  THEN("a full disk leaves it what is still good, and only that") {
    const auto silence = hush{};
    const auto before = host::read_small_file(edge / "cert.pem");
    const auto lay = [&](host::wall_time now) {
      return spec::on_full_disk([&] {
        node::lay_certificate(cloud, edge, "edge-1", "edge", now, 24h);
        return 0;
      });
    };
    CHECK(lay(noon + 13h) == 0);
    CHECK(lay(noon + 25h) == spec::threw);
    const auto other = host::make_authority("demo", noon);
    host::write_atomically(cloud / "ca.pem", other.certificate);
    host::write_atomically(cloud / "ca.key", other.key, 0600);
    CHECK(lay(noon + 13h) == spec::threw);
    CHECK(host::read_small_file(edge / "cert.pem") == before);
  }
  THEN("what does not fit is named") {
    CHECK(node::look_at_credentials(edge, "edge-2", "edge", noon).text.find("is for edge/edge-1") != std::string::npos);
    CHECK(node::look_at_credentials(edge, "edge-1", "edge", noon + 25h).text.find("expired") != std::string::npos);
    CHECK(node::look_at_credentials(home.path / "x", "edge-1", "edge", noon).text.find("cannot open") !=
          std::string::npos);
    host::write_atomically(edge / "key.pem", host::make_key(), 0600);
    CHECK(node::look_at_credentials(edge, "edge-1", "edge", noon).text.find("not the key") != std::string::npos);
  }
  THEN("a certificate for somebody else is not kept") {
    const auto before = host::read_small_file(edge / "cert.pem");
    auto wrong = v1::Certificate{};
    wrong.set_authority(authority.certificate);
    wrong.set_certificate(*host::read_small_file(cloud / "cert.pem"));
    CHECK_THROWS_AS(node::keep_certificate(edge, wrong, "edge-1", "edge", noon), host::certificate_error);
    CHECK_THROWS_AS(node::keep_certificate(edge, wrong, "cloud-1", "cloud", noon), host::certificate_error);
    CHECK(host::read_small_file(edge / "cert.pem") == before);
  }
  THEN("the deny list survives a restart") {
    CHECK(node::read_deny_list(edge).empty());
    node::keep_deny_list(edge, {"00ff", "aa"});
    CHECK(node::read_deny_list(edge) == std::set<std::string>{"00ff", "aa"});
  }
}

SCENARIO("a node renews its certificate for as long as it runs") {
  const auto silence = hush{};
  const auto home = scratch{};
  auto stage = spec::stage{};
  auto now = [&] { return noon + std::chrono::duration_cast<host::wall_time::duration>(stage.elapsed()); };
  const auto cloud = home.path / "cloud";
  const auto edge = home.path / "edge";
  node::lay_authority(cloud, "demo", noon);
  node::lay_certificate(cloud, edge, "edge-1", "edge", noon, 24h);
  auto at = std::make_shared<desk>(desk{node::read_authority(cloud)});
  const auto authority = stage.system.spawn(clerk, at, std::function<host::wall_time()>{now});
  auto denied = std::make_shared<host::deny_list>();
  auto renewed = 0;
  const auto credentials =
      node::spawn_credentials(stage.system, {},
                              {.directory = edge,
                               .name = "edge-1",
                               .role = "edge",
                               .authority = [&]() -> caf::expected<caf::actor> { return authority; },
                               .denied = denied,
                               .renewed = [&](const host::identity&) { ++renewed; },
                               .now = now,
                               .seed = 7});
  THEN("never is it without a valid one") {
    for (auto day = 0; day < 7; ++day) {
      stage.pass(24h, 30min);
      CHECK(node::look_at_credentials(edge, "edge-1", "edge", now()).ready);
    }
    CHECK(renewed >= 12);
    CHECK(renewed <= 18);
  }
  THEN("it tries again, more and more rarely, while the authority is away") {
    at->open = false;
    stage.pass(16h, 1min);
    CHECK(renewed == 0);
    CHECK(at->asked > 10);
    CHECK(at->asked < 150);
    at->open = true;
    stage.pass(6min, 1min);
    CHECK(renewed == 1);
    CHECK(node::look_at_credentials(edge, "edge-1", "edge", now()).ready);
  }
  THEN("an answer from another authority is not taken") {
    at->authority = host::make_authority("demo", noon);
    stage.pass(14h, 1min);
    CHECK(renewed == 0);
    CHECK(node::look_at_credentials(edge, "edge-1", "edge", now()).ready);
  }
  THEN("it denies what it is told to deny, and remembers") {
    auto list = wire::DenyList{};
    list.add_serials("00ff");
    // The authority of a controller shares the list, and changes it before it tells.
    SUBCASE("also what is in force already") { denied->replace({"00ff"}); }
    SUBCASE("nothing is in force yet") {}
    stage.audience->send(credentials, list);
    stage.settle();
    CHECK(denied->contains("00ff"));
    CHECK(node::read_deny_list(edge).contains("00ff"));
  }
  THEN("a list that could not be kept is kept when it comes again") {
    auto list = wire::DenyList{};
    list.add_serials("00ff");
    // What stands in its way fails it as a full disk does.
    std::filesystem::create_directory(edge / "denied");
    stage.audience->send(credentials, list);
    stage.settle();
    CHECK(denied->contains("00ff"));
    std::filesystem::remove(edge / "denied");
    stage.audience->send(credentials, list);
    stage.settle();
    CHECK(node::read_deny_list(edge).contains("00ff"));
  }
}
