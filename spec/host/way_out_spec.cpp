#include "actors/host/process.hpp"
#include "actors/host/way_out.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>

using namespace novacron;

SCENARIO("the rules of a way out are what nft takes, and loading them again changes nothing") {
  const auto rules = host::way_out_rules("nova0000002a", host::parse_ipv4("10.64.4.0", 22).value());
  CHECK(rules.find("ip saddr 10.64.4.0/22 oifname != \"nova0000002a\" masquerade") != std::string::npos);
  const auto able = host::run({.argv = {"unshare", "--net", "sh", "-c", "nft --version"}});
  if (able.how.code != 0)
    return spec::skip("the rules of a way out are what nft takes", "it needs root and nft");
  const auto said = host::run(
      {.argv = {"unshare", "--net", "sh", "-c", "nft \"$1\" && nft \"$1\" && nft list ruleset", "sh", rules}});
  INFO(said.err);
  CHECK(said.how.code == 0);
  auto count = 0;
  for (auto at = said.out.find("masquerade"); at != said.out.npos; at = said.out.find("masquerade", at + 1))
    ++count;
  CHECK(count == 1);
}
