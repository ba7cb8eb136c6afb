#include "actors/node/introduction.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

const auto noon = std::chrono::system_clock::now();
const auto nonce = std::string(32, 'n');
const auto between = node::conversation{"caller's system", "door's system"};

struct fabric {
  host::key_and_certificate authority = host::make_authority("spec", noon);

  node::papers papers_of(const std::string& name, const std::string& role, std::chrono::seconds life = 1h) const {
    const auto key = host::make_key();
    return {host::issue(authority, host::make_request(key, name, role), name, role, noon, life), key, authority.certificate};
  }
};

} // namespace

SCENARIO("two nodes prove to each other who they are") {
  const auto home = fabric{};
  const auto edge = home.papers_of("edge-1", "edge");
  const auto cloud = home.papers_of("cloud-1", "cloud");
  const auto nobody_denied = host::deny_list{};
  const auto hello = node::say_hello(edge, "edge-1", "edge", nonce);
  const auto challenge = node::answer(hello, cloud, "cloud-1", "cloud", std::string(32, 'm'), between);

  THEN("the door believes the caller, the caller the door, and the proof holds") {
    CHECK(node::judge(hello, cloud, noon, nobody_denied).why == host::refusal::none);
    const auto found = node::judge(challenge, "cloud-1", nonce, edge, noon, nobody_denied, between);
    CHECK(found.why == host::refusal::none);
    CHECK(found.who.name == "cloud-1");
    CHECK(node::holds(node::prove(challenge, edge, between), edge.certificate, challenge.nonce(), between));
  }
  THEN("a claim that the certificate does not bear out is refused") {
    CHECK(node::judge(node::say_hello(edge, "edge-2", "edge", nonce), cloud, noon, nobody_denied).why == host::refusal::wrong_name);
    CHECK(node::judge(node::say_hello(edge, "edge-1", "cloud", nonce), cloud, noon, nobody_denied).why == host::refusal::wrong_role);
  }
  THEN("another fabric, another time and a denied serial are refused") {
    const auto other = fabric{};
    CHECK(node::judge(node::say_hello(other.papers_of("edge-1", "edge"), "edge-1", "edge", nonce), cloud, noon, nobody_denied).why
          != host::refusal::none);
    CHECK(node::judge(hello, cloud, noon + 2h, nobody_denied).why == host::refusal::expired);
    CHECK(node::judge(hello, cloud, noon - 1h, nobody_denied).why == host::refusal::not_yet_valid);
    auto denied = host::deny_list{};
    denied.add(host::read_identity(edge.certificate)->serial);
    CHECK(node::judge(hello, cloud, noon, denied).why == host::refusal::denied);
  }
  THEN("an older protocol and a nonce of another length are refused") {
    auto old = hello;
    old.set_protocol(0);
    CHECK(node::judge(old, cloud, noon, nobody_denied).why == host::refusal::old_protocol);
    CHECK(node::judge(node::say_hello(edge, "edge-1", "edge", "short"), cloud, noon, nobody_denied).why == host::refusal::malformed);
  }
  THEN("a door that is not the one that was meant is refused") {
    CHECK(node::judge(challenge, "cloud-2", nonce, edge, noon, nobody_denied, between).why == host::refusal::wrong_name);
  }
  THEN("one who only knows a certificate proves nothing") {
    const auto thief = node::papers{edge.certificate, host::make_key(), edge.authority};
    CHECK_FALSE(node::holds(node::prove(challenge, thief, between), edge.certificate, challenge.nonce(), between));
  }
  THEN("a proof is worth nothing in another conversation, and for another nonce") {
    const auto proof = node::prove(challenge, edge, between);
    CHECK_FALSE(node::holds(proof, edge.certificate, challenge.nonce(), {"another system", between.door}));
    CHECK_FALSE(node::holds(proof, edge.certificate, nonce, between));
    CHECK(node::judge(challenge, "cloud-1", nonce, edge, noon, nobody_denied, {between.caller, "another door"}).why == host::refusal::malformed);
  }
}
