#include "actors/shell/program.hpp"

#include "spec/shell/fake_fabric.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

using namespace novacron::shell;

namespace {

struct outcome {
  int code = 0;
  std::string out;
  std::string err;
};

outcome run_with(std::vector<std::string> words, const process_commands& hooks = {}) {
  auto out = std::ostringstream{};
  auto err = std::ostringstream{};
  auto within = program{hooks, {.out = out, .err = err}};
  const auto code = within.run(words);
  return {code, out.str(), err.str()};
}

outcome run_on(const fake_fabric& fabric, std::vector<std::string> words) {
  words.insert(words.begin(), "--connect=" + fabric.path());
  return run_with(std::move(words));
}

std::string problem_json(const std::string& detail) {
  return R"({"type":"about:blank","title":"No","status":400,"detail":")" + detail + R"("})";
}

} // namespace

SCENARIO("lists show what the fabric says") {
  const auto body =
      std::string{R"({"nodes":[{"record":{"facts":{"name":"edge-1","role":"edge"}},"state":"ready"}],"index":"7"})"};
  auto fabric = fake_fabric{[&](const auto&) { return answer(body); }};
  CHECK(run_on(fabric, {"node", "list", "-q"}).out == "edge-1\n");
  CHECK(run_on(fabric, {"node", "list", "-o", "name"}).out == "node/edge-1\n");
  CHECK(run_on(fabric, {"node", "list", "-o", "json"}).out == body + "\n");
  CHECK(run_on(fabric, {"node", "list", "-o", "yaml"}).out.find("state: ready\nindex: \"7\"\n") != std::string::npos);
  CHECK(run_on(fabric, {"node", "list", "--no-headers"}).out.starts_with("edge-1   edge   ready"));
  for (const auto& x : fabric.asked())
    CHECK(x.line == "GET /v1/nodes");
}

SCENARIO("a learned model is sent with what it was judged by, and a list says what is used and why not") {
  const auto body = std::string{
      R"({"policies":[{"name":"learned-1","weights":{"room":-1},"version":1,"training":{"against":"balance","score":96.3,)"
      R"("scoreAgainst":93.4}},{"name":"learned-2","version":2,"training":{"against":"balance"},"fallback":"on trial"}],)"
      R"("settings":{"policy":"learned-1"}})"};
  auto fabric =
      fake_fabric{[&](const auto& x) { return answer(x.line.starts_with("GET") ? body : R"({"effect":"changed"})"); }};
  const auto list = run_on(fabric, {"policy", "list", "--no-headers"}).out;
  CHECK(list.find("yes") != std::string::npos);
  CHECK(list.find("learned, 96.30 % where balance fills 93.40 %") != std::string::npos);
  CHECK(list.find("not used: on trial") != std::string::npos);
  const auto shown = run_on(fabric, {"policy", "show", "learned-2"}).out;
  CHECK(shown.find("on trial; balance is used in its place") != std::string::npos);
  const auto file = fabric.path() + ".toml";
  std::ofstream{file} << "format = 1\nhistory = \"" + std::string(64, 'a') +
                             "\"\nagainst = \"balance\"\nscore = 96\nscore_against = 93\ndeviation = 0.1\nruns = 9\n"
                             "[weights]\nroom = -1\n";
  CHECK(run_on(fabric, {"policy", "set", "learned", "--model=" + file}).code == 0);
  const auto sent = fabric.asked().back();
  CHECK(sent.line == "PUT /v1/policies/learned");
  CHECK(sent.body.find(R"("room":-1)") != std::string::npos);
  CHECK(sent.body.find(R"("score":96)") != std::string::npos);
  CHECK(sent.body.find(R"("only_define":false)") != std::string::npos);
  // What cannot be read as a model is not sent.
  const auto count = fabric.asked().size();
  std::ofstream{file} << "format = 1\n[weights]\nroom = nan\n";
  CHECK(run_on(fabric, {"policy", "set", "learned", "--model=" + file}).err.find("weights.room is nan") !=
        std::string::npos);
  CHECK(run_on(fabric, {"policy", "set", "learned", "--model=" + file + ".none"}).code != 0);
  CHECK(fabric.asked().size() == count);
}

SCENARIO("room that is kept is listed with what is taken of it") {
  auto fabric = fake_fabric{[&](const auto&) {
    return answer(R"({"reservations":[{"reservation":{"name":"demo","places":2,"tenant":"a","until_ms":"1000",)"
                  R"("resources":{"cpu_milli":"1500","memory_bytes":"1073741824"}},"state":"short",)"
                  R"("reason":"others still have some of the room on n1","taken":{"cpu_milli":"500"}}]})");
  }};
  const auto list = run_on(fabric, {"reservation", "list", "--no-headers"}).out;
  for (const auto* part : {"demo", "short", "cpu=1.5 memory=1GiB", "cpu=0.5", "1970-01-01T00:00:01", "on n1"})
    CHECK_MESSAGE(list.find(part) != std::string::npos, list);
}

SCENARIO("a problem becomes an exit code and a sentence") {
  const auto code_of = [](int status) {
    auto fabric = fake_fabric{
        [&](const auto&) { return answer(problem_json("no node edge-9"), status, "application/problem+json"); }};
    const auto x = run_on(fabric, {"node", "show", "edge-9"});
    CHECK(x.out.empty());
    CHECK(x.err.find("novacron: no node edge-9") == 0);
    return x.code;
  };
  CHECK(code_of(404) == 3);
  CHECK(code_of(409) == 4);
  CHECK(code_of(403) == 7);
  CHECK(code_of(504) == 5);
  CHECK(code_of(502) == 6);
  CHECK(code_of(503) == 6);
  CHECK(code_of(400) == 2);
  CHECK(code_of(500) == 1);
  CHECK(code_of(507) == 1);
}

SCENARIO("a name that does not exist is answered with one that does") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    return x.line == "GET /v1/nodes"
               ? answer(R"({"nodes":[{"record":{"facts":{"name":"edge-17"}}}]})")
               : answer(problem_json("there is no node called egde-17"), 404, "application/problem+json");
  }};
  const auto x = run_on(fabric, {"node", "show", "egde-17"});
  CHECK(x.code == 3);
  CHECK(x.err == "novacron: there is no node called egde-17; did you mean 'edge-17'?\n");
  CHECK(run_on(fabric, {"node", "show", "cloud"}).err == "novacron: there is no node called egde-17\n");
}

SCENARIO("of several names that is put right which the answer speaks of") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    if (x.line == "GET /v1/nodes")
      return answer(R"({"nodes":[{"record":{"facts":{"name":"edge-2"}}}]})");
    if (x.line == "GET /v1/instances")
      return answer(R"({"instances":[{"instance":{"name":"db.0"}}]})");
    return answer(problem_json("there is no node called egde-2"), 404, "application/problem+json");
  }};
  // The only instance of a workload may be called by the name of that.
  CHECK(run_on(fabric, {"migrate", "db", "--to=egde-2"}).err ==
        "novacron: there is no node called egde-2; did you mean 'edge-2'?\n");
}

SCENARIO("what is no fabric is told from one that is not there") {
  const auto nobody = run_with({"--connect=/nonexistent/api.sock", "ps"});
  CHECK(nobody.code == 6);
  CHECK(nobody.err.find("no fabric found at /nonexistent/api.sock; start one with `novacron dev`") !=
        std::string::npos);
  auto silent = fake_fabric{[](const auto&) { return "..."; }};
  const auto late = run_on(silent, {"ps", "--timeout=50ms"});
  CHECK(late.code == 5);
  CHECK(late.err.find("gave no answer in time") != std::string::npos);
  auto closing = fake_fabric{[](const auto&) { return ""; }};
  CHECK(run_on(closing, {"ps"}).code == 6);
  auto garbage = fake_fabric{[](const auto&) { return "SSH-2.0-x\r\n\r\n"; }};
  CHECK(run_on(garbage, {"ps"}).code == 6);
  auto html = fake_fabric{[](const auto&) { return answer("<html>", 200); }};
  CHECK(run_on(html, {"ps"}).code == 1);
  CHECK(run_with({"--connect=nowhere", "ps"}).code == 2);
  CHECK(run_with({"--connect=" + std::string(200, 'x') + ".sock", "ps"}).code == 2);
}

SCENARIO("the record of orders is shown, and a gap in it is a failure") {
  auto whole = true;
  auto fabric = fake_fabric{[&](const fake_request& x) {
    if (x.line.find("/v1/audit:verify") != std::string::npos)
      return answer(whole ? R"({"whole":true,"entries":1,"first":7,"last":7,"hash":"ab","faults":[]})"
                          : R"({"whole":false,"entries":1,"first":7,"last":7,"hash":"ab","faults":["entry 6 is gone"]})");
    CHECK(x.line.find("/v1/audit?after=0&limit=50") != std::string::npos);
    return answer(R"({"entries":[{"number":7,"time":"noon","who":"person/alice","what":"PUT /v1/workloads/web","result":"200"}]})");
  }};
  const auto shown = run_on(fabric, {"audit", "show"});
  CHECK(shown.code == 0);
  CHECK(shown.out.find("person/alice") != std::string::npos);
  CHECK(run_on(fabric, {"audit", "verify"}).code == 0);
  whole = false;
  const auto broken = run_on(fabric, {"audit", "verify"});
  CHECK(broken.code == 1);
  CHECK(broken.err.find("entry 6 is gone") != std::string::npos);
}

SCENARIO("TLS without a certificate says what is missing") {
  auto fabric = fake_fabric{[](const auto&) { return ""; }};
  const auto x = run_with({"--connect=127.0.0.1:1", "--trust-dir=/nonexistent", "ps"});
  CHECK(x.code == 6);
  CHECK(x.err.find("no fabric found at 127.0.0.1:1") != std::string::npos);
}

SCENARIO("a workload is submitted with an identity, so that it is done once") {
  auto fabric =
      fake_fabric{[](const auto&) { return answer(R"({"name":"web","generation":"1","effect":"created"})", 201); }};
  const auto file = std::filesystem::path{fabric.path()}.parent_path() / "web.toml";
  std::ofstream{file} << "name = \"web\"\nimage = \"web:1\"\n";
  const auto x = run_on(fabric, {"run", file.string()});
  CHECK(x.code == 0);
  CHECK(x.out.empty());
  CHECK(x.err == "web created\n");
  REQUIRE(fabric.asked().size() == 1);
  const auto asked = fabric.asked().front();
  CHECK(asked.line == "PUT /v1/workloads/web");
  CHECK(asked.head.find("Idempotency-Key: ") != std::string::npos);
  CHECK(asked.body.find("\"image\":\"web:1\"") != std::string::npos);
  std::ofstream{file} << "nam = \"web\"\n";
  const auto wrong = run_on(fabric, {"run", file.string()});
  CHECK(wrong.code == 2);
  CHECK(wrong.err.find(":1: nam is not a key; did you mean 'name'?") != std::string::npos);
  CHECK(fabric.asked().size() == 1);
  CHECK(run_on(fabric, {"run", "/no/such/file"}).code == 3);
}

SCENARIO("waiting ends when all run, when it failed, or when time is up") {
  auto phase = std::string{"PHASE_RUNNING"};
  auto instances = std::string{R"([{"name":"web.0","phase":"PHASE_RUNNING","generation":"2"}])"};
  auto fabric = fake_fabric{[&](const fake_request& x) {
    return answer(x.line.starts_with("PUT") ? R"({"name":"web","generation":"2","effect":"changed"})"
                                            : R"({"record":{"spec":{"name":"web"},"generation":"2"},"phase":")" +
                                                  phase + R"(","desired":1,"instances":)" + instances + "}");
  }};
  const auto file = (std::filesystem::path{fabric.path()}.parent_path() / "web.toml").string();
  std::ofstream{file} << "name = \"web\"\nimage = \"web:1\"\n";
  const auto wait = [&] { return run_on(fabric, {"run", "--wait", "--timeout=1ms", file}); };
  const auto good = run_on(fabric, {"run", "--wait", file});
  CHECK(good.code == 0);
  CHECK(good.err.find("web: 1 of 1 running") != std::string::npos);
  instances = R"([{"name":"web.0","phase":"PHASE_RUNNING","generation":"1"}])";
  CHECK(run_on(fabric, {"run", "--wait", "--timeout=300ms", file}).code == 5);
  phase = "PHASE_FAILED";
  CHECK(run_on(fabric, {"run", "--wait", file}).code == 1);
  CHECK(wait().code != 0);
}

SCENARIO("a plan that cannot be is a precondition that does not hold") {
  auto fabric = fake_fabric{
      [](const auto&) { return answer(R"({"summary":"12 nodes: 7 lack memory, 5 wrong zone","feasible":false})"); }};
  const auto file = (std::filesystem::path{fabric.path()}.parent_path() / "web.toml").string();
  std::ofstream{file} << "name = \"web\"\nimage = \"web:1\"\n";
  const auto x = run_on(fabric, {"plan", file});
  CHECK(x.code == 4);
  CHECK(x.out.find("12 nodes: 7 lack memory, 5 wrong zone\n") != std::string::npos);
}

SCENARIO("logs are printed as they are, from the start or the last lines") {
  const auto text = std::string{"one\ntwo\nthree\n"};
  auto fabric = fake_fabric{[&](const fake_request& x) {
    const auto first = x.line.find("offset=0&") != std::string::npos || x.line.find("offset=-") != std::string::npos;
    return answer(first ? R"({"data":"b25lCnR3bwp0aHJlZQo=","next_offset":"14"})" : R"({"next_offset":"14"})");
  }};
  CHECK(run_on(fabric, {"logs", "web.0"}).out == text);
  CHECK(run_on(fabric, {"logs", "--tail=2", "web.0"}).out == "two\nthree\n");
  CHECK(run_on(fabric, {"logs", "--tail=0", "web.0"}).out == "");
  CHECK(run_on(fabric, {"logs", "--tail=9", "web.0"}).out == text);
  CHECK(run_on(fabric, {"logs", "--tail=-1", "web.0"}).code == 2);
}

SCENARIO("a workload with one instance needs no number") {
  auto instances = std::string{R"({"instances":[{"name":"web.0"}]})"};
  auto fabric = fake_fabric{[&](const fake_request& x) {
    return answer(x.line.find("/logs?") == x.line.npos ? instances
                                                       : R"({"data":"b25lCg==","next_offset":"4","ended":true})");
  }};
  CHECK(run_on(fabric, {"logs", "web"}).out == "one\n");
  CHECK(fabric.asked().front().line == "GET /v1/instances?workload=web");
  CHECK(fabric.asked().back().line.starts_with("GET /v1/instances/web.0/logs?"));
  instances = R"({"instances":[{"name":"web.0"},{"name":"web.1"}]})";
  const auto several = run_on(fabric, {"logs", "web"});
  CHECK(several.code == 2);
  CHECK(several.err == "novacron: web has 2 instances; say which: web.0, web.1\n");
}

SCENARIO("following goes on where it was after the fabric was away") {
  auto asked = 0;
  auto fabric = fake_fabric{[&](const fake_request& x) {
    switch (++asked) {
      case 1: return answer(R"({"data":"b25lCg==","next_offset":"4"})");
      case 2: return std::string{};
      case 3: return std::string{};
      default:
        CHECK(x.line.find("offset=4&") != std::string::npos);
        return answer(R"({"data":"dHdvCg==","next_offset":"8","ended":true})");
    }
  }};
  const auto x = run_on(fabric, {"logs", "-f", "web.0"});
  CHECK(x.code == 0);
  CHECK(x.out == "one\ntwo\n");
  CHECK(x.err.find("trying again") != std::string::npos);
}

SCENARIO("a message reaches an actor that is named by its last part") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    return answer(x.line == "GET /v1/actors"
                      ? R"({"actors":[{"name":"cloud-1/scheduler"},{"name":"edge-1/agent"},{"name":"edge-2/agent"}]})"
                      : R"({"message":"Done","json":"{\"index\":\"3\"}","seconds":0.001})");
  }};
  const auto x = run_on(fabric, {"ask", "scheduler", "DrainNode", R"({"node": "edge-1"})"});
  CHECK(x.code == 0);
  CHECK(x.out == "{\n  \"index\": \"3\"\n}\n");
  CHECK(fabric.asked().back().line == "POST /v1/actors/cloud-1/scheduler:ask");
  CHECK(run_on(fabric, {"ask", "scheduler", "DrainNode", "-o", "json"}).out == "{\"index\":\"3\"}\n");
  CHECK(run_on(fabric, {"ask", "agent", "ReportRequest"}).err.find("edge-1/agent or edge-2/agent; say which") !=
        std::string::npos);
  CHECK(run_on(fabric, {"ask", "nobody", "ReportRequest"}).code == 3);
  CHECK(run_on(fabric, {"ask", "scheduler", "DrainNode", "{node}"}).code == 2);
}

SCENARIO("orders go where they should") {
  auto fabric = fake_fabric{[](const auto&) { return answer(R"({"index":"3","applied":true})"); }};
  const auto says = [&](std::vector<std::string> words) {
    const auto x = run_on(fabric, words);
    CHECK_MESSAGE(x.code == 0, x.err);
    return fabric.asked().back().line;
  };
  CHECK(says({"stop", "web"}) == "POST /v1/workloads/web:stop");
  CHECK(says({"delete", "web"}) == "DELETE /v1/workloads/web");
  CHECK(says({"drain", "edge-1"}) == "POST /v1/nodes/edge-1:drain");
  CHECK(fabric.asked().back().body == R"({"drained":true})");
  CHECK(says({"undrain", "edge-1"}) == "POST /v1/nodes/edge-1:drain");
  CHECK(says({"node", "delete", "edge 1"}) == "DELETE /v1/nodes/edge%201");
  CHECK(says({"instance", "pause", "web.0"}) == "POST /v1/instances/web.0:pause");
  CHECK(says({"instance", "resize", "web.0", "--memory=64MiB"}) == "POST /v1/instances/web.0:resize");
  CHECK(says({"image", "delete", "web:1"}) == "DELETE /v1/images/web%3A1");
  CHECK(says({"ledger", "add", "cloud-2", "10.0.0.2:7101"}) == "POST /v1/ledger/members");
  CHECK(says({"ledger", "remove", "cloud-2"}) == "DELETE /v1/ledger/members/cloud-2");
  CHECK(says({"ledger", "snapshot"}) == "POST /v1/ledger:snapshot?wait_ms=1000");
  CHECK(says({"log-level", "debug", "--actor=scheduler"}) == "POST /v1/log");
  CHECK(says({"certificate", "revoke", "4F"}) == "POST /v1/certificates:revoke");
  CHECK(says({"token", "create", "--name=edge-7", "--role=edge"}) == "POST /v1/tokens");
  CHECK(says({"reservation", "create", "demo", "--cpu=8", "--places=3", "--for=2d",
              "--require=zone=paris,disk=nvme"}) == "PUT /v1/reservations/demo");
  const auto kept = fabric.asked().back().body;
  CHECK(kept.find(R"("cpu_milli":"8000")") != std::string::npos);
  CHECK(kept.find(R"("places":3)") != std::string::npos);
  CHECK(kept.find(R"("lasts_ms":"172800000")") != std::string::npos);
  CHECK(kept.find(R"("zone":"paris")") != std::string::npos);
  CHECK(kept.find(R"("disk":"nvme")") != std::string::npos);
  CHECK(says({"reservation", "delete", "demo"}) == "DELETE /v1/reservations/demo");
  CHECK(run_on(fabric, {"reservation", "create", "demo", "--cpu=much"}).code == 2);
  CHECK(run_on(fabric, {"reservation", "create", "demo", "--cpu=1", "--places=0"}).code == 2);
  CHECK(run_on(fabric, {"reservation", "create", "demo", "--cpu=1", "--require=zone"}).code == 2);
  CHECK(run_on(fabric, {"token", "create", "--role=edge"}).code == 2);
  CHECK(run_on(fabric, {"instance", "resize", "web.0"}).code == 2);
}

SCENARIO("commands of the process go through their hooks") {
  auto seen = std::string{};
  const auto hooks = process_commands{.run = {{"doctor", [&](const invocation& x) { return seen = x.what.path, 7; }}},
                                      .version = "1.2.3 (abc)",
                                      .build = {"cuda: no"}};
  CHECK(run_with({"doctor"}, hooks).code == 7);
  CHECK(seen == "doctor");
  CHECK(run_with({"--version"}, hooks).out == "novacron 1.2.3 (abc)\ncuda: no\n");
  CHECK(run_with({"version", "-o", "json"}, hooks).out == "{\"version\":\"1.2.3 (abc)\",\"build\":[\"cuda: no\"]}\n");
  const auto broken =
      process_commands{.run = {{"doctor", [](const invocation&) -> int { throw std::runtime_error{"no"}; }}}};
  CHECK(run_with({"doctor"}, broken).code == 1);
}

SCENARIO("who followed another life of the fabric goes on with this one") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    if (x.line.find("after=900&") != x.line.npos)
      return answer(
          R"({"events":[{"number":"7","noun":"node","name":"edge-1","verb":"arrived"}],"next":"7","missed":true})");
    CHECK(x.line.find("after=7&") != x.line.npos);
    return answer(problem_json("enough"), 400, "application/problem+json");
  }};
  const auto x = run_on(fabric, {"events", "-f", "--after=900"});
  CHECK(x.out.find("node edge-1 arrived") != std::string::npos);
  CHECK(x.err.find("some events were dropped before these") == 0);
}

SCENARIO("output that does not arrive is a failure") {
  auto full = std::ofstream{"/dev/full"};
  auto err = std::ostringstream{};
  auto within = program{process_commands{}, {.out = full, .err = err}};
  CHECK(within.run({"version"}) == 1);
  CHECK(err.str() == "novacron: cannot write the output: No space left on device\n");
  auto fabric = fake_fabric{[](const auto&) { return answer(R"({"events":[{"number":"1"}],"next":"1"})"); }};
  CHECK(within.run({"--connect=" + fabric.path(), "events", "-f", "-o", "json"}) == 1);
}

SCENARIO("what takes long is waited for, and can fail late") {
  auto state = std::string{"done"};
  auto fabric = fake_fabric{[&](const fake_request& x) {
    if (x.line.starts_with("POST"))
      return answer(R"({"id":"op1","title":"importImage","state":"running"})", 202);
    return answer(state == "done"
                      ? R"({"id":"op1","state":"done","status":200,"result":{"name":"web:1","digest":"sha256:1"}})"
                      : R"({"id":"op1","state":"failed","status":404,"result":{"detail":"no such file"}})");
  }};
  const auto good = run_on(fabric, {"image", "import", "/x.tar", "-q"});
  CHECK(good.code == 0);
  CHECK(good.out == "web:1\n");
  CHECK(fabric.asked().front().line == "POST /v1/images:import?wait_ms=1000");
  CHECK(fabric.asked().back().line == "GET /v1/operations/op1?wait_ms=1000");
  state = "failed";
  const auto bad = run_on(fabric, {"image", "import", "/x.tar"});
  CHECK(bad.code == 3);
  CHECK(bad.err == "novacron: no such file\n");
}

SCENARIO("a list that is not whole says so") {
  auto fabric = fake_fabric{
      [](const auto&) { return answer(R"({"actors":[{"name":"a/b","state":"running"}],"unanswered":["edge-1"]})"); }};
  const auto x = run_on(fabric, {"actor", "list", "-q"});
  CHECK(x.out == "a/b\n");
  CHECK(x.err == "edge-1 gave no answer: what it has is missing here\n");
}

SCENARIO("a script ends at its first failure") {
  const auto script = [](const std::string& text, bool keep_going) {
    auto out = std::ostringstream{};
    auto err = std::ostringstream{};
    auto within = program{process_commands{}, {.out = out, .err = err}};
    auto from = std::istringstream{text};
    const auto code = run_script(within, from, keep_going);
    return outcome{code, out.str(), err.str()};
  };
  CHECK(script("version\n# nothing\nversion", false).code == 0);
  CHECK(script("xyzzy\nversion", false).code == 2);
  CHECK(script("xyzzy\nversion", false).out.empty());
  CHECK(script("xyzzy\nversion", true).code == 2);
  CHECK(script("xyzzy; version", true).out.find("novacron ") == 0);
  CHECK(script("version; .mode json; version", false).code == 0);
  CHECK(script(".mode jsno", false).code == 2);
  CHECK(script("version 'x", false).err.find("a quote is never closed") != std::string::npos);
}

SCENARIO("addresses") {
  CHECK(parse_target("/run/x.sock").socket == "/run/x.sock");
  CHECK(parse_target("unix:x").socket == "x");
  CHECK(parse_target("10.0.0.1:7180").port == "7180");
  CHECK(parse_target("https://cloud-1:7180/").host == "cloud-1");
  CHECK(parse_target("[::1]:7180").host == "::1");
  for (const auto* x : {"", "host", ":1", "host:", "host:x", "::1:7180", "host:123456", "http://host:80"})
    CHECK_THROWS_MESSAGE(parse_target(x), x);
  const auto none = [](const char*) -> const char* { return nullptr; };
  CHECK(state_directory(none, 0) == "/var/lib/novacron");
  const auto home = [](const char* name) { return std::string_view{name} == "HOME" ? "/people/ann" : nullptr; };
  CHECK(state_directory(home, 1000) == "/people/ann/.local/state/novacron");
  const auto given = [](const char* name) { return std::string_view{name} == "NOVACRON_STATE" ? "/tmp/n" : nullptr; };
  CHECK(state_directory(given, 0) == "/tmp/n");
  CHECK(url_encode("a/b c:1é") == "a%2Fb%20c%3A1%C3%A9");
}

SCENARIO("a function is called with any bytes, and what its handler failed with is a failure") {
  auto reply = std::string{R"({"body":"aGkA","instance":"resize.0","cold":false})"};
  auto fabric = fake_fabric{[&](const fake_request& x) {
    CHECK(x.line == "POST /v1/functions/resize:invoke?whole=true");
    CHECK(x.body == "small");
    return answer(reply);
  }};
  const auto good = run_on(fabric, {"function", "invoke", "resize", "--data=small"});
  CHECK(good.code == 0);
  CHECK(good.out == std::string{"hi\0", 3});
  CHECK(good.err.empty());
  CHECK(run_on(fabric, {"function", "invoke", "resize", "--data=small", "-o", "json"}).out == reply + "\n");
  reply = R"({"problem":"the handler ended with exit code 3","instance":"resize.0"})";
  const auto bad = run_on(fabric, {"function", "invoke", "resize", "--data=small"});
  CHECK(bad.code == 1);
  CHECK(bad.out.empty());
  CHECK(bad.err == "novacron: resize.0: the handler ended with exit code 3; see `novacron logs resize.0`\n");
}

SCENARIO("functions are listed and shown") {
  const auto one = std::string{
      R"({"name":"resize","state":"running","ready":2,"wanted":3,"instances_max":10,"answered":"7","failed":"1"})"};
  auto fabric = fake_fabric{[&](const fake_request& x) {
    return answer(x.line == "GET /v1/functions" ? R"({"functions":[)" + one + "]}" : one);
  }};
  const auto list = run_on(fabric, {"function", "list", "--no-headers"});
  CHECK(list.out.starts_with("resize   running"));
  CHECK(list.out.find("0-10") != std::string::npos);
  const auto page = run_on(fabric, {"function", "show", "resize"});
  CHECK(page.out.find("2 ready, 3 wanted, 0-10 allowed") != std::string::npos);
  CHECK(page.out.find("7 answered") != std::string::npos);
}
