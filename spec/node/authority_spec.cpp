#include "actors/node/authority.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

const auto noon = host::wall_time{} + 1'800'000'000s;
const auto print = std::string(64, 'f');
const auto chance = std::string("0123456789abcdefghijklmnopqrstuvwxyzABCD");

v1::TokenCreate wish(const std::string& name, const std::string& role, std::uint64_t life_ms = 0) {
  auto made = v1::TokenCreate{};
  made.set_name(name);
  made.set_role(role);
  made.set_life_ms(life_ms);
  return made;
}

} // namespace

SCENARIO("a token lets one node in, once, for a while") {
  const auto settings = node::authority_config{};
  const auto made = node::mint(wish("edge-1", "edge"), chance, print, noon, settings);
  const auto secret = node::parse_token(made.token.token());
  REQUIRE(secret);
  CHECK(secret->id == made.token.id());
  CHECK(secret->fingerprint == print);
  auto says = [&](std::string_view name, std::string_view role, host::wall_time now) {
    return node::objection(made.record, *secret, name, role, now);
  };
  CHECK(says("edge-1", "edge", noon) == "");
  CHECK(says("edge-1", "edge", noon + 15min - 1ms) == "");
  CHECK(says("edge-1", "edge", noon + 15min).find("expired") != std::string::npos);
  CHECK(says("edge-2", "edge", noon).find("is for edge/edge-1, not for edge/edge-2") != std::string::npos);
  CHECK(says("edge-1", "cloud", noon).find("not for cloud/edge-1") != std::string::npos);
  THEN("a second use is refused") {
    auto used = made.record;
    used.set_used(true);
    CHECK(node::objection(used, *secret, "edge-1", "edge", noon).find("used already") != std::string::npos);
  }
  THEN("who guesses learns nothing, not even that the token exists") {
    auto guess = *secret;
    guess.secret[5] = guess.secret[5] == 'a' ? 'b' : 'a';
    CHECK(node::objection(made.record, guess, "edge-2", "edge", noon + 1h) == "there is no such token");
    CHECK(node::objection(std::nullopt, *secret, "edge-1", "edge", noon) == "there is no such token");
  }
  THEN("the record does not contain the secret") {
    CHECK(made.record.SerializeAsString().find(secret->secret) == std::string::npos);
    CHECK(made.record.hash().size() == 32);
  }
  THEN("a day after its end its record may go") {
    CHECK_FALSE(node::is_stale(made.record, noon + 15min + 24h - 1ms));
    CHECK(node::is_stale(made.record, noon + 15min + 24h));
  }
}

SCENARIO("only sensible tokens are made") {
  const auto settings = node::authority_config{};
  CHECK(node::objection(wish("edge-1", "edge", 60'000), settings) == "");
  CHECK(node::objection(wish("alice", "person"), settings) == "");
  CHECK(node::objection(wish("Edge 1", "edge"), settings).find("is no name") != std::string::npos);
  CHECK(node::objection(wish("edge-1", "king"), settings).find("is no role") != std::string::npos);
  CHECK(node::objection(wish("edge-1", "edge", 24 * 3600'000), settings) == "");
  CHECK(node::objection(wish("edge-1", "edge", 24 * 3600'000 + 1), settings) != "");
  CHECK(node::mint(wish("edge-1", "edge", 60'000), chance, print, noon, settings).token.expires_ms() ==
        node::milliseconds_of(noon + 60s));
}

SCENARIO("what is no token is not taken for one") {
  const auto good = node::to_string(node::join_secret{std::string(16, 'a'), std::string(64, 'b'), print});
  CHECK(node::parse_token(good));
  for (auto i = std::size_t{0}; i < good.size(); ++i) {
    CHECK_FALSE(node::parse_token(good.substr(0, i)));
    auto bent = good;
    bent[i] = 'Z';
    CHECK_FALSE(node::parse_token(bent));
  }
  CHECK_FALSE(node::parse_token(good + "0"));
  CHECK_FALSE(node::parse_token(good + ".0"));
}
