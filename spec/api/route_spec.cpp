#include "spec/api/scripted.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

namespace {
using namespace novacron;
using namespace novacron::api;
using namespace novacron::spec;

wire::WorkloadList some_workloads() {
  auto list = wire::WorkloadList{};
  for (const auto& [name, node] : {std::pair{"web", "edge-1"}, {"web", "edge-2"}, {"job", "edge-1"}, {"idle", ""}}) {
    auto* workload = list.workloads_size() > 0 && list.workloads(list.workloads_size() - 1).record().spec().name() == name
                         ? list.mutable_workloads(list.workloads_size() - 1)
                         : list.add_workloads();
    workload->mutable_record()->mutable_spec()->set_name(name);
    auto& instance = *workload->add_instances();
    instance.set_name(std::string{name} + "." + std::to_string(workload->instances_size() - 1));
    instance.set_node(node);
  }
  return list;
}

/// A sink that keeps what is written, and closes after so many writes.
struct bucket : sink {
  explicit bucket(int most) : left{most} {}
  bool write(std::string_view bytes) override {
    text += bytes;
    return --left > 0;
  }
  bool open() override { return left > 0; }
  int left;
  std::string text;
};

SCENARIO("every route has its own title, a handler, and words") {
  auto titles = std::set<std::string_view>{};
  for (const auto& x : routes()) {
    CHECK(titles.insert(x.title).second);
    CHECK(static_cast<bool>(x.run));
    CHECK(x.help.ends_with('.'));
    CHECK(x.patience.count() > 0);
  }
}

SCENARIO("the page comes whole, from here, and may do nothing but read") {
  auto here = scripted{};
  const auto page = here.send("GET", "/");
  CHECK(page.type == "text/html; charset=utf-8");
  CHECK(page.headers.at("Content-Security-Policy").find("default-src 'none'") == 0);
  for (const auto* part : {"page.css", "page.js"}) {
    CHECK(page.body.find(part) != page.body.npos);
    CHECK(here.send("GET", std::string{"/"} + part).status == 200);
  }
  for (const auto* path : {"/", "/page.css", "/page.js"}) {
    const auto text = here.send("GET", path).body;
    CHECK(text.find("http://") == text.npos);
    CHECK(text.find("https://") == text.npos);
    CHECK(text.find("method:") == text.npos);
    CHECK(text.find("innerHTML") == text.npos);
  }
  CHECK(here.send("GET", "/", {}, {}, "").status == 401);
}

SCENARIO("a question that came before the way was known is asked again, an order is not") {
  auto here = scripted{};
  auto asked = 0;
  here.actors["door"] = [&](const caf::message&) -> caf::expected<caf::message> {
    if (++asked < 3)
      return caf::make_error(fault::unreachable, "edge-1: no way there yet");
    return caf::make_message(wire::LinkList{});
  };
  CHECK(here.send("GET", "/v1/links").status == 200);
  CHECK(asked == 3);
  here.fails("scheduler", caf::make_error(fault::unreachable, "nobody is there"));
  here.asked.clear();
  CHECK(here.send("POST", "/v1/nodes/edge-1:drain", "{}").status == 502);
  CHECK(here.asked.size() == 1);
}

SCENARIO("what lasts can be left alone and asked about") {
  auto here = scripted{};
  auto lasting = operations{{.now = [] { return std::int64_t{1}; }}};
  here.around.lasting = &lasting;
  auto image = wire::Image{};
  image.set_name("web:1");
  here.says("images", image);
  const auto import = [&](const std::string& query, const std::string& key) {
    auto x = request{.method = "POST", .path = "/v1/images:import", .query = {}, .headers = {{"idempotency-key", key}},
                     .body = R"({"path":"/x"})", .who = {"person", "ann"}};
    if (!query.empty())
      x.query.emplace("wait_ms", query);
    const auto found = find_route(std::move(x), here.around);
    REQUIRE(std::holds_alternative<call>(found));
    return respond(std::get<call>(found));
  };
  CHECK(import("", "k1").status == 200);
  CHECK(import("20000", "k1").status == 200);
  CHECK(here.asked.size() == 1);
  const auto all = here.get("/v1/operations");
  REQUIRE(all["operations"].size() == 1);
  const auto id = all["operations"][0]["id"].get<std::string>();
  CHECK(here.get("/v1/operations/" + id)["result"]["name"] == "web:1");
  CHECK(here.send("GET", "/v1/operations/none").status == 404);
  CHECK(here.send("GET", "/v1/operations", {}, {}, "edge").status == 403);
}

SCENARIO("a precondition that cannot be kept is refused, never passed over") {
  auto here = scripted{};
  here.says("scheduler", wire::Done{});
  CHECK(here.send("DELETE", "/v1/nodes/edge-1", {}, {{"if-match", "\"12\""}}).status == 400);
  CHECK(here.send("POST", "/v1/nodes/edge-1:drain", "{}", {{"if-match", "\"1\""}}).status == 400);
  CHECK(here.asked.empty());
}

SCENARIO("a workload is changed only while it is as expected") {
  auto here = scripted{};
  auto list = some_workloads();
  list.mutable_workloads(0)->set_revision(12);
  here.says("scheduler", list);
  CHECK(here.send("GET", "/v1/workloads/web").headers.at("ETag") == "\"12\"");
  here.fails("scheduler", caf::make_error(fault::conflict, "web is at revision 13, not 12"));
  CHECK(here.send("PUT", "/v1/workloads/web", "{}", {{"if-match", "\"12\""}}).status == 412);
  CHECK(here.question<wire::Submit>(1).revision() == 12);
  CHECK(here.send("PUT", "/v1/workloads/web", "{}", {{"if-none-match", "*"}}).status == 412);
  CHECK(here.question<wire::Submit>(2).has_revision());
  CHECK(here.send("DELETE", "/v1/workloads/web", {}, {{"if-match", "\"12\""}}).status == 412);
  CHECK(here.send("DELETE", "/v1/workloads/web").status == 409);
  CHECK_FALSE(here.question<wire::StopWorkload>(4).has_revision());
  CHECK(here.send("DELETE", "/v1/workloads/web", {}, {{"if-match", "12"}}).status == 400);
}

SCENARIO("what does not exist is told apart from what is done wrongly") {
  auto here = scripted{};
  CHECK(here.send("GET", "/nope").status == 404);
  CHECK(here.send("GET", "/v1/nope").status == 404);
  CHECK(here.send("GET", "/v1/workloads/").status == 404);
  CHECK(here.send("POST", "/v1/workloads/web:fly").status == 404);
  CHECK(here.send("GET", "//v1/workloads").status == 404);
  const auto wrong = here.send("PATCH", "/v1/workloads/web");
  CHECK(wrong.status == 405);
  CHECK(wrong.headers.at("Allow") == "DELETE, GET, HEAD, PUT");
  CHECK(here.send("GET", "/v1/workloads/web:stop").headers.at("Allow") == "POST");
  CHECK(here.send("GET", "/v1/workloads/..").status == 400);
  CHECK(here.send("GET", "/v1/workloads/%2e%2e%2fx").status == 400);
  CHECK(here.send("GET", "/v1/workloads/%zz").status == 400);
  CHECK(here.send("GET", "/v1/workloads?lmit=1").status == 400);
  CHECK(here.send("GET", "/v1/workloads?limit=x").status == 400);
  CHECK(here.send("GET", "/v1/workloads", "a body").status == 400);
  CHECK(here.send("PUT", "/v1/workloads/web", "{not json").status == 400);
  CHECK(here.send("PUT", "/v1/workloads/web", R"({"nme": "x"})").status == 400);
  CHECK(here.send("PUT", "/v1/workloads/web", R"({"name": "other"})").status == 400);
  CHECK(here.asked.empty());
}

SCENARIO("each fault has its status") {
  auto here = scripted{};
  const auto status = [&](fault x) {
    here.fails("scheduler", caf::make_error(x, "why"));
    const auto out = here.send("GET", "/v1/workloads");
    const auto body = document::parse(out.body);
    CHECK(body["status"] == out.status);
    CHECK(body["detail"] == "why");
    CHECK(body["fault"] == name_of(x));
    return out.status;
  };
  CHECK(status(fault::not_found) == 404);
  CHECK(status(fault::conflict) == 409);
  CHECK(status(fault::bad_request) == 400);
  CHECK(status(fault::denied) == 403);
  CHECK(status(fault::unreachable) == 502);
  CHECK(status(fault::timeout) == 504);
  CHECK(status(fault::overloaded) == 429);
  CHECK(status(fault::unavailable) == 503);
  CHECK(status(fault::not_leader) == 503);
  CHECK(status(fault::storage) == 507);
  CHECK(status(fault::unsupported) == 501);
  CHECK(status(fault::unspecified) == 500);
}

SCENARIO("workloads are submitted, stopped and deleted by orders with an identity") {
  auto here = scripted{};
  auto done = wire::Submitted{};
  done.set_effect("created");
  here.says("scheduler", done);
  CHECK(here.send("PUT", "/v1/workloads/web", R"({"replicas": 2})", {{"idempotency-key", "k1"}}).status == 201);
  CHECK(here.question<wire::Submit>().spec().name() == "web");
  CHECK(here.question<wire::Submit>().spec().replicas() == 2);
  CHECK(here.question<wire::Submit>().order().client() == "http:k1");
  CHECK(here.question<wire::Submit>().order().sequence() == 1);
  done.set_effect("unchanged");
  here.says("scheduler", done);
  CHECK(here.send("PUT", "/v1/workloads/web", R"({"replicas": 2})").status == 200);
  CHECK(here.question<wire::Submit>(1).order().client() == "http:one");
  here.says("scheduler", wire::Done{});
  CHECK(here.send("POST", "/v1/workloads/web:stop").status == 200);
  CHECK_FALSE(here.question<wire::StopWorkload>(2).forget());
  CHECK(here.send("DELETE", "/v1/workloads/web").status == 200);
  CHECK(here.question<wire::StopWorkload>(3).forget());
  CHECK(here.send("POST", "/v1/nodes/edge-1:drain").status == 200);
  CHECK(here.question<wire::DrainNode>(4).drained());
  CHECK(here.send("POST", "/v1/nodes/edge-1:drain", R"({"drained": false})").status == 200);
  CHECK_FALSE(here.question<wire::DrainNode>(5).drained());
  CHECK(here.send("DELETE", "/v1/workloads/web", {}, {{"idempotency-key", std::string(129, 'x')}}).status == 400);
}

SCENARIO("moves are listed by whether they are over, and a drain can be asked about") {
  auto here = scripted{};
  auto all = wire::MigrationList{};
  for (const auto* phase : {"moved", "moving", "kept"}) {
    auto& x = *all.add_migrations();
    x.set_name(phase);
    x.set_phase(phase);
  }
  here.says("scheduler", all);
  const auto names = [&](const std::string& query) {
    auto found = std::string{};
    const auto list = document::parse(here.send("GET", "/v1/migrations" + query).body);
    for (const auto& x : list["migrations"])
      found += x["name"].get<std::string>() + " ";
    return found;
  };
  CHECK(names("") == "kept moved moving ");
  CHECK(names("?state=moving") == "moving ");
  CHECK(names("?state=over") == "kept moved ");
  CHECK(names("?state=over&limit=1") == "kept ");
  CHECK(here.send("GET", "/v1/migrations?state=gone").status == 400);
  here.says("scheduler", wire::Plan{});
  CHECK(here.send("GET", "/v1/nodes/edge-1/drain").status == 200);
  CHECK(here.question<wire::PlanRequest>(here.questions.size() - 1).drained_node() == "edge-1");
}

SCENARIO("lists come in pages") {
  auto here = scripted{};
  here.says("scheduler", some_workloads());
  const auto first = here.send("GET", "/v1/workloads?limit=2");
  const auto names = [](const response& x) {
    auto all = std::vector<std::string>{};
    const auto list = document::parse(x.body);
    for (const auto& w : list["workloads"])
      all.push_back(w["record"]["spec"]["name"]);
    return all;
  };
  CHECK(names(first) == std::vector<std::string>{"idle", "job"});
  CHECK(first.headers.at("Link") == "</v1/workloads?limit=2&page_token=job>; rel=\"next\"");
  const auto second = here.send("GET", "/v1/workloads?limit=2&page_token=job");
  CHECK(names(second) == std::vector<std::string>{"web"});
  CHECK_FALSE(second.headers.contains("Link"));
}

SCENARIO("instances are those of all workloads, or fewer") {
  auto here = scripted{};
  here.says("scheduler", some_workloads());
  CHECK(here.get("/v1/instances")["instances"].size() == 4);
  CHECK(here.get("/v1/instances?workload=web")["instances"].size() == 2);
  const auto there = here.get("/v1/instances?node=edge-1")["instances"];
  CHECK(there.size() == 2);
  CHECK(there[0]["name"] == "job.0");
  CHECK(there[1]["name"] == "web.0");
  CHECK(there[1]["exit_code"] == 0);
}

SCENARIO("what is about one instance goes to the node that has it") {
  auto here = scripted{};
  here.says("scheduler", some_workloads());
  auto session = wire::ExecSession{};
  session.set_session("s1");
  here.says("edge-2/agent", session);
  CHECK(document::parse(here.send("POST", "/v1/instances/web.1:exec", R"({"command": ["sh"]})").body)["session"] == "s1");
  CHECK(here.asked == std::vector<std::string>{"scheduler WorkloadListRequest", "edge-2/agent ExecStart"});
  CHECK(here.question<wire::WorkloadListRequest>().name() == "web");
  CHECK(here.question<wire::ExecStart>(1).instance() == "web.1");
  here.says("edge-2/agent", wire::ExecOutput{});
  CHECK(here.send("POST", "/v1/instances/web.1/exec/s1", R"({"input": "aGk=", "wait_ms": 1000})").status == 200);
  CHECK(here.question<wire::ExecExchange>(3).session() == "s1");
  CHECK(here.question<wire::ExecExchange>(3).input() == "hi");
  CHECK(here.patience == milliseconds{6000});
  here.says("edge-2/agent", wire::Done{});
  CHECK(here.send("POST", "/v1/instances/web.1:pause").status == 200);
  CHECK(here.question<wire::PauseInstance>(5).paused());
  CHECK(here.send("POST", "/v1/instances/web.1:resume").status == 200);
  CHECK(here.send("POST", "/v1/instances/web.1:restart").status == 200);
  CHECK(here.send("POST", "/v1/instances/web.1:resize", R"({"cpu_milli": "500"})").status == 200);
  CHECK(here.question<wire::ResizeInstance>(11).resources().cpu_milli() == 500);
  CHECK(here.send("POST", "/v1/instances/web.7:pause").status == 404);
  CHECK(here.send("POST", "/v1/instances/idle.0:pause").status == 503);
  CHECK(here.send("POST", "/v1/instances/job.0:pause").status == 404); // nobody answers for edge-1
}

SCENARIO("a log is read in chunks or followed to its end") {
  auto here = scripted{};
  here.says("scheduler", some_workloads());
  here.actors["edge-1/agent"] = [](const caf::message& x) {
    const auto& wanted = x.get_as<wire::LogRequest>(0);
    auto chunk = wire::LogChunk{};
    chunk.set_data("line " + std::to_string(wanted.offset()) + "\n");
    chunk.set_next_offset(wanted.offset() + 1);
    chunk.set_ended(wanted.offset() == 2);
    return caf::expected<caf::message>{caf::make_message(chunk)};
  };
  CHECK(here.get("/v1/instances/web.0/logs?offset=5")["next_offset"] == "6");
  const auto followed = here.send("GET", "/v1/instances/web.0/logs?follow=true");
  REQUIRE(followed.stream);
  CHECK(followed.type == "text/plain; charset=utf-8");
  auto out = bucket{100};
  CHECK(followed.stream(out));
  CHECK(out.text == "line 0\nline 1\nline 2\n");
  auto gone = bucket{1};
  CHECK_FALSE(here.send("GET", "/v1/instances/web.0/logs?follow=true").stream(gone));
}

SCENARIO("events come as a list or as a stream that goes on where it was") {
  auto here = scripted{};
  auto rounds = 0;
  here.actors["scheduler"] = [&](const caf::message& x) -> caf::expected<caf::message> {
    const auto after = x.get_as<wire::EventsRequest>(0).after();
    if (++rounds > 40)
      return caf::make_error(fault::unavailable, "moved");
    auto news = wire::Events{};
    news.set_next(after);
    news.set_missed(after == 1);
    if (after < 8) {
      auto& event = *news.add_events();
      event.set_number(after + 1);
      event.set_noun("instance");
      event.set_verb("started");
      news.set_next(after + 1);
    }
    return caf::make_message(news);
  };
  CHECK(here.get("/v1/events?after=3")["events"][0]["number"] == "4");
  const auto stream = here.send("GET", "/v1/events", {}, {{"accept", "text/event-stream"}, {"last-event-id", "6"}});
  CHECK(stream.type == "text/event-stream");
  auto out = bucket{100};
  CHECK(stream.stream(out));
  CHECK(out.text.starts_with("retry: 1000\n\nid: 7\nevent: instance.started\ndata: {\"number\":\"7\","));
  CHECK(out.text.find("id: 8\n") != std::string::npos);
  CHECK(out.text.find("id: 9\n") == std::string::npos);
  CHECK(out.text.find("\n: still here\n\n") != std::string::npos);
  CHECK(out.text.find("event: problem\ndata: {\"type\":\"urn:novacron:problem:unavailable\"") != std::string::npos);
  rounds = 0;
  auto brief = bucket{2};
  here.send("GET", "/v1/events?after=1", {}, {{"accept", "text/event-stream"}}).stream(brief);
  CHECK(brief.text.find("event: missed\ndata: {}\n\nid: 2") != std::string::npos);
}

SCENARIO("actors are listed over all nodes, and who did not answer is named") {
  auto here = scripted{};
  auto nodes = wire::NodeList{};
  for (const auto& [name, state] : {std::pair{"cloud-1", "ready"}, {"edge-1", "ready"}, {"edge-2", "ready"}, {"edge-3", "lost"}}) {
    auto& x = *nodes.add_nodes();
    x.mutable_record()->mutable_facts()->set_name(name);
    x.set_state(state);
  }
  here.says("scheduler", nodes);
  for (const auto* name : {"cloud-1", "edge-1"}) {
    auto list = wire::ActorList{};
    list.add_actors()->set_name(std::string{name} + "/agent");
    here.says(std::string{name} + "/observer", list);
  }
  here.fails("edge-2/observer", caf::make_error(fault::timeout, "late"));
  const auto all = here.get("/v1/actors");
  CHECK(all["actors"].size() == 2);
  CHECK(all["unanswered"] == document{"edge-2", "edge-3"});
  CHECK(here.get("/v1/actors?node=edge-1")["actors"].size() == 1);
  CHECK(here.send("GET", "/v1/actors?node=edge-2").status == 504);
  CHECK(here.get("/v1/actors/edge-1/agent")["name"] == "edge-1/agent");
  CHECK(here.send("GET", "/v1/actors/edge-1/nobody").status == 404);
  THEN("without a scheduler this node still shows its own") {
    here.fails("scheduler", caf::make_error(fault::unreachable, "cut off"));
    CHECK(here.get("/v1/actors")["actors"][0]["name"] == "cloud-1/agent");
  }
}

SCENARIO("an actor is asked anything that the caller may say itself") {
  auto here = scripted{};
  here.says("edge-1/observer", wire::Answer{});
  CHECK(here.send("POST", "/v1/actors/edge-1/workload/web.0:ask", R"({"message":"ReportRequest","json":{"a":[1]},"timeout_ms":"700"})")
            .status == 200);
  CHECK(here.question<wire::Ask>().actor() == "edge-1/workload/web.0");
  CHECK(here.question<wire::Ask>().json() == R"({"a":[1]})");
  CHECK(here.patience == milliseconds{5700});
  CHECK(here.send("POST", "/v1/actors/edge-1/agent:ask", R"({"message":"ReportRequest","json":"{}"})").status == 200);
  CHECK(here.question<wire::Ask>(1).json() == "{}");
  CHECK(here.send("POST", "/v1/actors/edge-1/agent:ask", R"({"message":"Nonsense"})").status == 404);
  CHECK(here.send("POST", "/v1/actors/cloud-1/ledger:ask", R"({"message":"LedgerCommand"})").status == 403);
  here.says("edge-1/observer", wire::Trace{});
  CHECK(here.send("GET", "/v1/actors/edge-1/workload/web.0/trace?limit=5").status == 200);
  CHECK(here.question<wire::TraceRequest>(2).actor() == "edge-1/workload/web.0");
}

SCENARIO("who may say what is decided by the table of trust") {
  auto here = scripted{};
  here.says("scheduler", wire::WorkloadList{});
  CHECK(here.send("GET", "/v1/workloads", {}, {}, "edge").status == 200);
  CHECK(here.send("PUT", "/v1/workloads/web", "{}", {}, "edge").status == 403);
  CHECK(here.send("GET", "/v1/tokens", {}, {}, "cloud").status == 403);
  CHECK(here.send("GET", "/metrics", {}, {}, "edge").status == 403);
  CHECK(here.send("GET", "/v1/workloads", {}, {}, "").status == 401);
  CHECK(here.send("GET", "/v1/version", {}, {}, "").status == 401);
  CHECK(here.send("GET", "/openapi.json", {}, {}, "").status == 401);
  auto well = wire::Health{};
  well.set_live(true);
  here.says("door", well);
  CHECK(here.send("GET", "/livez", {}, {}, "").status == 200);
  CHECK(here.send("GET", "/readyz", {}, {}, "").status == 401);
  auto certificate = wire::Certificate{};
  certificate.set_certificate("pem");
  here.says("authority", certificate);
  CHECK(here.send("POST", "/v1/join", R"({"token":"t","name":"edge-9","role":"edge"})", {}, "").status == 200);
  CHECK(here.send("POST", "/v1/join", R"({"name":"edge-9","role":"edge"})", {}, "").status == 403);
}

SCENARIO("health is told to probes in few words and to people in more") {
  auto here = scripted{};
  auto health = wire::Health{};
  health.set_live(true);
  health.set_ready(false);
  auto& check = *health.add_checks();
  check.set_name("ledger");
  check.set_detail("no leader");
  auto& fine = *health.add_checks();
  fine.set_name("agent");
  fine.set_ok(true);
  here.says("door", health);
  CHECK(here.send("GET", "/livez").body == "ok\n");
  const auto no = here.send("GET", "/readyz");
  CHECK(no.status == 503);
  CHECK(no.body == "[-]ledger failed: no leader\n[+]agent ok\nnot ready\n");
  CHECK(here.send("GET", "/readyz?exclude=ledger").status == 200);
  CHECK(here.send("GET", "/readyz?exclude=agent").status == 503);
  CHECK(here.send("GET", "/readyz?verbose&exclude=ledger&exclude=agent").body ==
        "[ ]ledger excluded: no leader\n[ ]agent excluded\nok\n");
  health.set_ready(true);
  health.mutable_checks(0)->set_ok(true);
  here.says("door", health);
  CHECK(here.send("GET", "/readyz").status == 200);
  WHEN("the node begins to stop") {
    here.leaving = true;
    THEN("it is not ready, and still live") {
      CHECK(here.send("GET", "/readyz").status == 503);
      CHECK(here.send("GET", "/livez").status == 200);
    }
  }
  WHEN("the door does not answer") {
    here.fails("door", caf::make_error(fault::timeout, "late"));
    CHECK(here.send("GET", "/livez").status == 503);
    CHECK(here.send("GET", "/readyz").status == 503);
  }
}

SCENARIO("metrics come from the observer, or from what is left") {
  auto here = scripted{};
  CHECK(here.send("GET", "/metrics").body == "# own\n");
  auto all = wire::Metrics{};
  all.set_text("# all\n");
  here.says("observer", all);
  CHECK(here.send("GET", "/metrics").body == "# all\n");
  CHECK(here.send("GET", "/metrics").type == "text/plain; version=0.0.4; charset=utf-8");
}

SCENARIO("the ledger's records are shown without secrets") {
  auto here = scripted{};
  auto token = wire::TokenRecord{};
  token.set_name("edge-1");
  token.set_hash("very secret hash");
  auto record = wire::WorkloadRecord{};
  record.set_generation(7);
  auto entries = wire::LedgerEntries{};
  entries.set_index(9);
  for (const auto& [key, value] : {std::pair{std::string{"workload/web"}, record.SerializeAsString()},
                                   {"token/1", token.SerializeAsString()},
                                   {"secret/x", "swordfish"},
                                   {"node/bad", "\xff\xff"}}) {
    auto& entry = *entries.add_entries();
    entry.set_key(key);
    entry.set_value(value);
    entry.set_revision(3);
  }
  here.says("ledger", entries);
  const auto shown = here.get("/v1/ledger/records?prefix=");
  CHECK(shown["index"] == "9");
  CHECK(shown["records"][0]["key"] == "node/bad");
  CHECK(shown["records"][0]["type"] == "");
  CHECK(shown["records"][3]["type"] == "WorkloadRecord");
  CHECK(shown["records"][3]["value"]["generation"] == "7");
  CHECK(shown["records"][2]["value"]["name"] == "edge-1");
  CHECK(shown["records"][2]["value"]["hash"] == "");
  CHECK(here.send("GET", "/v1/ledger/records").body.find("swordfish") == std::string::npos);
  CHECK(here.send("POST", "/v1/ledger:backup", R"({"path":"relative"})").status == 400);
}

SCENARIO("images have names with slashes and colons") {
  auto here = scripted{};
  here.says("images", wire::Done{});
  CHECK(here.send("DELETE", "/v1/images/demo%2Fweb:1").status == 200);
  CHECK(here.question<wire::ImageDelete>().name() == "demo/web:1");
  here.says("edge-1/images", wire::Image{});
  CHECK(here.send("POST", "/v1/images:import", R"({"path":"/x","node":"edge-1"})").status == 200);
  CHECK(here.asked.back() == "edge-1/images ImageImport");
}

SCENARIO("the language can be listed") {
  auto here = scripted{};
  const auto all = here.get("/v1/messages")["messages"];
  CHECK(all.size() == message_names().size());
  const auto submit = *std::find_if(all.begin(), all.end(), [](const auto& x) { return x["name"] == "Submit"; });
  CHECK(submit["fields"][1]["name"] == "spec");
  CHECK(submit["fields"][1]["type"] == "WorkloadSpec");
  CHECK(submit["allowed"] == document{"cloud", "person"});
}

void collect(const document& x, std::set<std::string>& references) {
  if (x.is_object() && x.contains("$ref"))
    references.insert(x["$ref"]);
  if (x.is_structured())
    for (const auto& inside : x)
      collect(inside, references);
}

SCENARIO("the interface describes itself") {
  const auto all = document::parse(openapi(routes(), "1.2.3"));
  CHECK(all["openapi"] == "3.1.0");
  THEN("every reference leads somewhere, and every schema is referred to") {
    auto references = std::set<std::string>{};
    collect(all, references);
    for (const auto& x : references)
      CHECK_MESSAGE(all.contains(document::json_pointer{x.substr(1)}), x);
    for (const auto& [name, schema] : all["components"]["schemas"].items())
      CHECK_MESSAGE(references.contains("#/components/schemas/" + name), name);
  }
  THEN("every route is in it, with its parameters") {
    auto count = std::size_t{0};
    for (const auto& [path, methods] : all["paths"].items())
      for (const auto& [method, operation] : methods.items()) {
        ++count;
        CHECK(operation["responses"].contains("200"));
        CHECK(operation["responses"]["default"]["content"].contains("application/problem+json"));
        const auto braces = std::count(path.begin(), path.end(), '{');
        auto in_path = 0;
        for (const auto& x : operation.value("parameters", document::array()))
          in_path += x["in"] == "path";
        CHECK(in_path == braces);
      }
    CHECK(count == routes().size());
  }
  THEN("64-bit numbers are texts, as Protobuf writes them") {
    const auto field = all["components"]["schemas"]["Resources"]["properties"]["cpu_milli"];
    CHECK(field["type"] == document{"string", "integer"});
    CHECK(all["components"]["schemas"]["WorkloadSpec"]["properties"]["labels"]["additionalProperties"]["type"] == "string");
    CHECK(all["components"]["schemas"]["WorkloadSpec"]["properties"]["kind"]["$ref"] == "#/components/schemas/WorkloadKind");
  }
}

} // namespace
