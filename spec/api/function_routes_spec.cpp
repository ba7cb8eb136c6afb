/// What the API promises about functions.

#include "spec/api/scripted.hpp"

#include <string>
#include <utility>

namespace {
using namespace novacron;
using namespace novacron::api;
using namespace novacron::spec;

SCENARIO("a function is called with the body as it is, and answers so") {
  auto here = scripted{};
  auto answer = wire::Invoked{};
  answer.set_body(std::string{"a\0b", 3});
  answer.set_instance("resize.1");
  answer.set_cold(true);
  here.says("functions", answer);
  const auto good = here.send("POST", "/v1/functions/resize:invoke", std::string{"\0{", 2});
  CHECK(good.status == 200);
  CHECK(good.type == "application/octet-stream");
  CHECK(good.body == std::string{"a\0b", 3});
  CHECK(good.headers.at("Novacron-Instance") == "resize.1");
  CHECK(good.headers.at("Novacron-Start") == "cold");
  CHECK(here.question<wire::Invoke>().function() == "resize");
  CHECK(here.question<wire::Invoke>().body() == std::string{"\0{", 2});
  CHECK(here.patience > std::chrono::seconds{90});
  const auto whole = document::parse(here.send("POST", "/v1/functions/resize:invoke?whole=true").body);
  CHECK(whole["body"] == "YQBi");
  answer.set_problem("the handler ended with exit code 3");
  here.says("functions", answer);
  const auto bad = here.send("POST", "/v1/functions/resize:invoke");
  CHECK(bad.status == 502);
  CHECK(document::parse(bad.body)["detail"] == "the handler ended with exit code 3");
  CHECK(bad.headers.at("Novacron-Instance") == "resize.1");
}

SCENARIO("calls that are too many, late or not allowed have the status that says so") {
  auto here = scripted{};
  for (const auto& [why, status] : {std::pair{fault::overloaded, 429u},
                                    {fault::timeout, 504u},
                                    {fault::not_found, 404u},
                                    {fault::conflict, 409u},
                                    {fault::unreachable, 502u},
                                    {fault::not_leader, 503u}}) {
    here.fails("functions", caf::make_error(why, "no"));
    CHECK(here.send("POST", "/v1/functions/resize:invoke").status == status);
  }
  CHECK(here.send("POST", "/v1/functions/resize:invoke", {}, {}, "edge").status == 403);
  here.says("functions", wire::Invoked{});
  CHECK(here.send("POST", "/v1/functions/resize:invoke", std::string(512 << 10, 'x')).status == 200);
  CHECK(here.send("POST", "/v1/functions/resize:invoke", std::string((512 << 10) + 1, 'x')).status == 413);
  here.says("functions", wire::Invoked{});
  here.around.calls->store(24);
  CHECK(here.send("POST", "/v1/functions/resize:invoke").status == 429);
  CHECK(here.around.calls->load() == 24);
  here.around.calls->store(23);
  CHECK(here.send("POST", "/v1/functions/resize:invoke").status == 200);
  CHECK(here.around.calls->load() == 23);
}

SCENARIO("functions are listed and shown") {
  auto here = scripted{};
  auto list = wire::FunctionList{};
  for (const auto* name : {"b", "a", "c"})
    list.add_functions()->set_name(name);
  here.says("functions", list);
  const auto page = here.send("GET", "/v1/functions?limit=2");
  const auto body = document::parse(page.body);
  REQUIRE(body["functions"].size() == 2);
  CHECK(body["functions"][0]["name"] == "a");
  CHECK(page.headers.contains("Link"));
  list.mutable_functions()->DeleteSubrange(1, 2);
  here.says("functions", list);
  CHECK(here.get("/v1/functions/b")["name"] == "b");
}

} // namespace
