#include "actors/shell/bundle.hpp"
#include "actors/shell/program.hpp"

#include "actors/host/process.hpp"
#include "spec/shell/fake_fabric.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <system_error>

using namespace novacron;
using namespace novacron::shell;

namespace {

constexpr auto secret = "hunter2";

bool knows(const std::string& text) {
  return text.find(secret) != text.npos;
}

} // namespace

SCENARIO("a bundle holds what the fabric says, and no secret that is somewhere in it") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    if (x.line.ends_with("/metrics") || x.line.find("/readyz") != x.line.npos)
      return answer("novacron_up 1\n", 200, "text/plain");
    if (x.line.ends_with("/v1/images"))
      return answer(R"({"detail":"no answer from edge-1"})", 504, "application/problem+json");
    return answer(
        R"({"workloads":[{"record":{"spec":{"name":"web","program":{"image":"web:1","env":{"A":"hunter2","PATH":"hunter2"},)"
        R"("command":["/bin/db","-p","hunter2"]}},"labels":{"api_key":"hunter2"}},)"
        R"("reason":"cannot reach postgres://admin:hunter2@db/x with password=hunter2 and --token hunter2"}],)"
        R"("tokens":[{"id":"t1","hash":"hunter2"}],"pem":"-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"})");
  }};
  auto out = std::ostringstream{};
  auto err = std::ostringstream{};
  auto within = program{{}, {.out = out, .err = err}};
  CHECK(within.run({"--connect=" + fabric.path(), "debug", "bundle", "-"}) == 0);
  const auto bundle = out.str();
  CHECK(bundle.size() % 512 == 0);
  CHECK(!knows(bundle));
  for (const auto* kept :
       {"/workloads.json", "/metrics.txt", "novacron_up 1", "\"web:1\"", "/bin/db", "cannot reach", "t1"})
    CHECK_MESSAGE(bundle.find(kept) != bundle.npos, kept);
  try {
    const auto listed = host::run({.argv = {"tar", "tf", "-"}}, std::chrono::seconds{30}, bundle);
    CHECK_MESSAGE(listed.how.code == 0, listed.err);
    CHECK(listed.out.find("/README.txt\n") != std::string::npos);
  } catch (const std::system_error&) {
    MESSAGE("skipped: there is no tar here to read the bundle");
  }
}

SCENARIO("without a fabric there is no bundle") {
  auto out = std::ostringstream{};
  auto err = std::ostringstream{};
  auto within = program{{}, {.out = out, .err = err}};
  CHECK(within.run({"--connect=/nonexistent/api.sock", "debug", "bundle", "-"}) == 6);
  CHECK(out.str().empty());
}

SCENARIO("secrets are known by their names and by their looks") {
  CHECK(text_without_secrets("token=abc; Password: abc") == "token=(removed); Password: (removed)");
  CHECK(text_without_secrets("run --secret abc --verbose") == "run --secret (removed) --verbose");
  CHECK(text_without_secrets("http://a:b@host/x http://host/x@y") == "http://(removed)@host/x http://host/x@y");
  CHECK(text_without_secrets("key: -----BEGIN RSA PRIVATE KEY-----\nx") == "key: (removed)");
  CHECK(text_without_secrets("the token is good; 3 nodes") == "the token is good; 3 nodes");
  CHECK(without_secrets(R"({"a":{"client_secret":"x"},"secrets_total":3,"ok":true})") ==
        "{\n  \"a\": {\n    \"client_secret\": \"(removed)\"\n  },\n  \"secrets_total\": \"(removed)\",\n  \"ok\": "
        "true\n}\n");
  CHECK(without_secrets("plain password=x") == "plain password=(removed)");
  CHECK(without_secrets("") == "");
}
