#include "actors/host/certificate.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;
using host::refusal;

namespace {

const auto noon = host::wall_time{} + 1'800'000'000s;

struct fabric {
  host::key_and_certificate authority = host::make_authority("demo", noon);
  std::string key = host::make_key();

  std::string admit(const std::string& name, const std::string& role, host::wall_time now = noon) const {
    return host::issue(authority, host::make_request(key, name, role), name, role, now);
  }
};

} // namespace

SCENARIO("a node gets a certificate that says who it is") {
  const auto demo = fabric{};
  const auto certificate = demo.admit("edge-1", "edge");
  const auto who = host::read_identity(certificate);
  REQUIRE(who);
  CHECK(who->name == "edge-1");
  CHECK(who->role == "edge");
  CHECK(who->not_before == noon - 5min);
  CHECK(who->not_after == noon + 24h);
  CHECK(who->serial.size() == 32);
  CHECK(host::belongs_to(demo.key, certificate));
  CHECK_FALSE(host::belongs_to(host::make_key(), certificate));
  THEN("no two certificates share a serial") {
    CHECK(host::read_identity(demo.admit("edge-1", "edge"))->serial != who->serial);
  }
  THEN("the authority itself is nobody") {
    CHECK_FALSE(host::read_identity(demo.authority.certificate));
  }
}

SCENARIO("a certificate is believed only from its authority, in its time, and when it is not denied") {
  const auto demo = fabric{};
  const auto other = fabric{};
  const auto certificate = demo.admit("edge-1", "edge");
  const auto& authority = demo.authority.certificate;
  auto why = [&](const std::string& chain, host::wall_time now, const host::deny_list* denied = nullptr) {
    return host::judge(chain, authority, now, denied).why;
  };
  CHECK(why(certificate, noon) == refusal::none);
  CHECK(why(certificate, noon - 5min) == refusal::none);
  CHECK(why(certificate, noon - 5min - 1s) == refusal::not_yet_valid);
  CHECK(why(certificate, noon + 24h - 1s) == refusal::none);
  CHECK(why(certificate, noon + 24h) == refusal::expired);
  CHECK(why("", noon) == refusal::no_certificate);
  CHECK(why("garbage", noon) == refusal::no_certificate);
  CHECK(why(other.admit("edge-1", "edge"), noon) == refusal::wrong_authority);
  CHECK(why(other.authority.certificate, noon) == refusal::self_signed);
  CHECK(why(authority, noon) == refusal::no_identity);
  auto denied = host::deny_list{};
  CHECK(why(certificate, noon, &denied) == refusal::none);
  denied.add(host::read_identity(certificate)->serial);
  CHECK(why(certificate, noon, &denied) == refusal::denied);
}

SCENARIO("the authority grants only what is asked for in proper form") {
  const auto demo = fabric{};
  const auto request = host::make_request(demo.key, "edge-1", "edge");
  auto grant = [&](const std::string& asked, const char* name, const char* role) {
    return host::issue(demo.authority, asked, name, role, noon);
  };
  CHECK_NOTHROW(grant(request, "edge-1", "edge"));
  CHECK_THROWS_AS(grant(request, "edge-2", "edge"), host::certificate_error);
  CHECK_THROWS_AS(grant(request, "edge-1", "cloud"), host::certificate_error);
  CHECK_THROWS_AS(grant("", "edge-1", "edge"), host::certificate_error);
  CHECK_THROWS_AS(grant(demo.authority.certificate, "edge-1", "edge"), host::certificate_error);
  THEN("a request that was changed on the way is refused") {
    auto bent = request;
    const auto middle = bent.size() / 2;
    bent[middle] = bent[middle] == 'A' ? 'B' : 'A';
    CHECK_THROWS_AS(grant(bent, "edge-1", "edge"), host::certificate_error);
  }
  THEN("names and roles that do not exist cannot be asked for") {
    for (const auto* name : {"", "Edge", "a/b", "-a", "a-", "a.b", "a,DNS:evil"})
      CHECK_THROWS_AS(host::make_request(demo.key, name, "edge"), host::certificate_error);
    CHECK_THROWS_AS(host::make_request(demo.key, std::string(64, 'a'), "edge"), host::certificate_error);
    CHECK_NOTHROW(host::make_request(demo.key, std::string(63, 'a'), "edge"));
    CHECK_THROWS_AS(host::make_request(demo.key, "edge-1", "king"), host::certificate_error);
  }
}

SCENARIO("a signature counts for one purpose, one text and one key") {
  const auto demo = fabric{};
  const auto certificate = demo.admit("edge-1", "edge");
  const auto signature = host::sign(demo.key, "hello", "nonce");
  CHECK(host::is_signed(certificate, "hello", "nonce", signature));
  CHECK_FALSE(host::is_signed(certificate, "welcome", "nonce", signature));
  CHECK_FALSE(host::is_signed(certificate, "hello", "nonces", signature));
  CHECK_FALSE(host::is_signed(certificate, "hello", "nonce", signature.substr(1)));
  CHECK_FALSE(host::is_signed(certificate, "hello", "nonce", ""));
  CHECK_FALSE(host::is_signed(fabric{}.admit("edge-1", "edge"), "hello", "nonce", signature));
  CHECK_FALSE(host::is_signed("", "hello", "nonce", signature));
}

SCENARIO("secrets are hashed, drawn and compared") {
  CHECK(host::to_hex(host::sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(host::random_bytes(32).size() == 32);
  CHECK(host::random_bytes(32) != host::random_bytes(32));
  CHECK(host::equal_secretly("secret", "secret"));
  CHECK_FALSE(host::equal_secretly("secret", "secreT"));
  CHECK_FALSE(host::equal_secretly("secret", "secrets"));
  CHECK(host::fingerprint(fabric{}.authority.certificate).size() == 64);
}
