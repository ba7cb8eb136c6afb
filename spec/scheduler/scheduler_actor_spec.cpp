#include "actors/scheduler/scheduler_actor.hpp"

#include "spec/scheduler/play.hpp"

#include <doctest/doctest.h>

using namespace novacron;
using spec::play;
using namespace std::chrono_literals;

namespace {

using strings = std::vector<std::string>;

wire::WorkloadSpec with_policy(wire::WorkloadSpec spec, wire::OnDisconnect action, std::uint64_t after_ms = 0) {
  spec.mutable_on_disconnect()->set_action(action);
  spec.mutable_on_disconnect()->set_after_ms(after_ms);
  return spec;
}

wire::Order order_of(const std::string& client, std::uint64_t sequence) {
  auto x = wire::Order{};
  x.set_client(client);
  x.set_sequence(sequence);
  return x;
}

} // namespace

SCENARIO("what is submitted runs, is scaled, changed and stopped") {
  auto here = play{};
  here.add_node("edge-1", "a");
  here.add_node("edge-2", "b");
  const auto created = here.submit(play::service("web", 3));
  REQUIRE(created);
  CHECK(created->effect() == "created");
  CHECK(created->generation() == 1);
  here.pass(4);
  CHECK(here.running("web") == 3);
  CHECK(here.look("web").phase() == wire::PHASE_RUNNING);
  CHECK(here.look("web").running() == 3);

  SUBCASE("the same again changes nothing") {
    const auto commands = here.book.commands;
    const auto again = here.submit(play::service("web", 3));
    REQUIRE(again);
    CHECK(again->effect() == "unchanged");
    CHECK(here.book.commands == commands);
  }
  SUBCASE("scaling takes the highest ordinals and restarts nobody") {
    here.submit(play::service("web", 1));
    here.pass(4);
    CHECK(here.running("web") == 1);
    CHECK(here.where("web.0").size() == 1);
    CHECK_FALSE(here.record("web.2"));
    here.submit(play::service("web", 2));
    here.pass(4);
    CHECK(here.running("web") == 2);
    CHECK(here.nodes.at("edge-1").starts + here.nodes.at("edge-2").starts == 4);
  }
  SUBCASE("a changed program is rolled out one by one") {
    auto changed = play::service("web", 3);
    changed.mutable_program()->set_image("web:2");
    const auto epoch = here.record("web.0")->epoch();
    CHECK(here.submit(changed)->generation() == 2);
    for (auto i = 0; i < 20; ++i) {
      here.pass(1);
      CHECK(here.running("web") >= 2);
    }
    CHECK(here.running("web") == 3);
    CHECK(here.record("web.0")->generation() == 2);
    CHECK(here.record("web.0")->epoch() > epoch);
    CHECK_FALSE(here.book.records.contains("generation/web/1"));
  }
  SUBCASE("a stopped one ends and comes back when it is asked for again") {
    REQUIRE(here.stop("web"));
    here.pass(3);
    CHECK(here.running("web") == 0);
    CHECK(here.look("web").phase() == wire::PHASE_STOPPED);
    CHECK(here.submit(play::service("web", 3))->effect() == "changed");
    here.pass(4);
    CHECK(here.running("web") == 3);
  }
  SUBCASE("a forgotten one leaves no record") {
    REQUIRE(here.stop("web", true));
    here.pass(4);
    for (const auto& [key, record] : here.book.records)
      CHECK(key.starts_with("node/"));
    CHECK_FALSE(here.stop("web"));
  }
}

SCENARIO("an order counts once, however often it comes") {
  auto here = play{};
  here.add_node("edge-1");
  const auto first = here.submit(play::service("web"), order_of("cli", 1));
  const auto second = here.submit(play::service("web"), order_of("cli", 1));
  REQUIRE(first);
  REQUIRE(second);
  CHECK(second->effect() == "created");
  CHECK(second->index() == first->index());
}

SCENARIO("orders that make no sense are refused in words") {
  auto here = play{};
  const auto wrong = [&](wire::WorkloadSpec spec) {
    const auto answer = here.submit(spec);
    REQUIRE_FALSE(answer);
    CHECK(explain(answer.error()).kind == fault::bad_request);
    return explain(answer.error()).text;
  };
  CHECK(wrong(play::service("Web")).find("small letters") != std::string::npos);
  CHECK(wrong(play::service("-web")) != "");
  CHECK(wrong(play::service(std::string(64, 'a'))) != "");
  auto both = play::service("web");
  both.mutable_placement()->add_near("db");
  both.mutable_placement()->add_apart("db");
  CHECK(wrong(both).find("db") != std::string::npos);
  auto gpu = play::service("web");
  gpu.mutable_resources()->set_gpu_milli(1500);
  CHECK(wrong(gpu).find("1500") != std::string::npos);
  for (const auto ms : {0, 999})
    CHECK(wrong(with_policy(play::service("web"), wire::ON_DISCONNECT_STOP_AFTER, ms)).find("at least 1s") !=
          std::string::npos);
  auto endless = play::service("web");
  endless.set_stop_grace_ms(std::uint64_t{1} << 60);
  CHECK(wrong(endless) == "stop_grace is longer than a year");
}

SCENARIO("on_disconnect decides what becomes of a lost node's instances") {
  auto here = play{};
  here.add_node("edge-1");
  const auto lose = [&](wire::WorkloadSpec spec) {
    REQUIRE(here.submit(spec));
    here.pass(4);
    REQUIRE(here.where("web.0") == strings{"edge-1"});
    here.add_node("edge-2");
    here.cut("edge-1");
  };
  SUBCASE("keep: nothing replaces it until the node is forgotten") {
    lose(play::service("web"));
    here.pass(600);
    CHECK(here.where("web.0") == strings{"edge-1"});
    CHECK(here.look("web").instances(0).reason() == "node edge-1 is lost");
    REQUIRE(here.forget("edge-1"));
    here.pass(4);
    CHECK(here.where("web.0") == strings{"edge-1", "edge-2"});
    here.connect("edge-1");
    here.pass(2);
    CHECK(here.where("web.0") == strings{"edge-2"});
  }
  SUBCASE("keep: a healed node runs on without a restart") {
    lose(play::service("web"));
    here.pass(600);
    here.connect("edge-1");
    here.pass(5);
    CHECK(here.where("web.0") == strings{"edge-1"});
    CHECK(here.nodes.at("edge-1").starts == 1);
  }
  SUBCASE("replace: another takes over as soon as patience ends, and the healed node stops its copy") {
    lose(with_policy(play::service("web"), wire::ON_DISCONNECT_REPLACE));
    const auto epoch = here.record("web.0")->epoch();
    here.pass(4);
    CHECK(here.where("web.0") == strings{"edge-1"});
    here.pass(4);
    CHECK(here.where("web.0") == strings{"edge-1", "edge-2"});
    CHECK(here.record("web.0")->epoch() > epoch);
    here.connect("edge-1");
    here.pass(1);
    CHECK(here.where("web.0") == strings{"edge-2"});
  }
  SUBCASE("stop_after: the replacement starts only when the old copy has certainly stopped") {
    lose(with_policy(play::service("web"), wire::ON_DISCONNECT_STOP_AFTER, 30'000));
    for (auto i = 0; i < 60; ++i) {
      here.pass(1);
      CHECK(here.where("web.0").size() <= 1);
    }
    CHECK(here.where("web.0") == strings{"edge-2"});
  }
  SUBCASE("stop_after: a long grace is waited for as well") {
    auto spec = with_policy(play::service("web"), wire::ON_DISCONNECT_STOP_AFTER, 5'000);
    spec.set_stop_grace_ms(60'000);
    lose(spec);
    for (auto i = 0; i < 90; ++i) {
      here.pass(1);
      CHECK(here.where("web.0").size() <= 1);
    }
    CHECK(here.where("web.0") == strings{"edge-2"});
  }
  SUBCASE("stop_after: what the lost node was told counts, not what was asked for since") {
    lose(with_policy(play::service("web"), wire::ON_DISCONNECT_STOP_AFTER, 60'000));
    REQUIRE(here.submit(with_policy(play::service("web"), wire::ON_DISCONNECT_STOP_AFTER, 1'000)));
    for (auto i = 0; i < 100; ++i) {
      here.pass(1);
      CHECK(here.where("web.0").size() <= 1);
    }
    CHECK(here.where("web.0") == strings{"edge-2"});
  }
  SUBCASE("stop_after: a lost node that was told to keep it is not replaced") {
    lose(play::service("web"));
    REQUIRE(here.submit(with_policy(play::service("web"), wire::ON_DISCONNECT_STOP_AFTER, 1'000)));
    here.pass(600);
    CHECK(here.where("web.0") == strings{"edge-1"});
    here.connect("edge-1");
    here.pass(5);
    CHECK(here.where("web.0") == strings{"edge-1"});
    CHECK(here.nodes.at("edge-1").specs.at("web.0").on_disconnect().after_ms() == 1'000);
  }
  SUBCASE("a short absence changes nothing") {
    lose(with_policy(play::service("web"), wire::ON_DISCONNECT_REPLACE));
    here.pass(3);
    here.connect("edge-1");
    here.pass(20);
    CHECK(here.where("web.0") == strings{"edge-1"});
    CHECK(here.nodes.at("edge-1").starts == 1);
  }
}

SCENARIO("a node that no longer knows what it shall run is told again") {
  auto here = play{};
  here.add_node("edge-1");
  REQUIRE(here.submit(play::service("web")));
  here.pass(4);
  auto& node = here.nodes.at("edge-1");
  REQUIRE(node.revision > 0);
  node.revision = 0;
  here.send_report("edge-1");
  here.stage.settle();
  CHECK(node.revision > 0);
  CHECK(node.starts == 1);
}

SCENARIO("a drained node gives up what it has without a gap") {
  auto here = play{};
  here.add_node("edge-1");
  REQUIRE(here.submit(play::service("web", 2)));
  REQUIRE(here.submit(play::service("db")));
  here.pass(4);
  REQUIRE(here.drain("edge-1"));
  here.pass(10);
  CHECK(here.running("web") == 2);
  CHECK(here.running("db") == 1);
  CHECK(here.look("db").instances(0).reason().find("cannot leave edge-1") == 0);
  here.add_node("edge-2");
  for (auto i = 0; i < 20; ++i) {
    here.pass(1);
    CHECK(here.running("web") >= 2);
    CHECK(here.running("db") <= 1);
  }
  CHECK(here.where("web.0") == strings{"edge-2"});
  CHECK(here.where("web.1") == strings{"edge-2"});
  CHECK(here.where("db.0") == strings{"edge-2"});
}

SCENARIO("who waits for room says why and gets it as soon as there is some") {
  auto here = play{};
  here.add_node("edge-1", "a", 1500);
  here.add_node("edge-2", "b", 500);
  auto zoned = play::service("web", 2);
  (*zoned.mutable_placement()->mutable_require())["zone"] = "a";
  REQUIRE(here.submit(zoned));
  here.pass(3);
  CHECK(here.look("web").reason() == "2 nodes: 1 lack cpu, 1 wrong zone");
  CHECK(here.look("web").phase() == wire::PHASE_PENDING);
  here.add_node("edge-3", "a");
  here.pass(3);
  CHECK(here.running("web") == 2);
}

SCENARIO("a gang is placed whole or not at all") {
  auto here = play{};
  here.add_node("edge-1", "a", 2500);
  auto gang = play::batch("shards", 4);
  gang.mutable_placement()->set_gang(true);
  REQUIRE(here.submit(gang));
  here.pass(5);
  CHECK(here.running("shards") == 0);
  CHECK(here.look("shards").reason().find("only 2 of 4") == 0);
  here.add_node("edge-2", "a", 2500);
  here.pass(4);
  CHECK(here.running("shards") == 4);
}

SCENARIO("a batch runs to its end and its results are kept") {
  auto here = play{};
  here.add_node("edge-1");
  SUBCASE("all complete, at most so many at once") {
    here.ending.insert("job");
    REQUIRE(here.submit(play::batch("job", 5, 2)));
    for (auto i = 0; i < 30; ++i) {
      here.pass(1);
      CHECK(here.running("job") <= 2);
    }
    CHECK(here.look("job").phase() == wire::PHASE_COMPLETED);
    CHECK(here.record("job.4")->outcome() == wire::PHASE_COMPLETED);
  }
  SUBCASE("one that fails is tried again, then the whole has failed") {
    here.failing.insert("job");
    auto job = play::batch("job", 1);
    job.mutable_batch()->set_retries(2);
    REQUIRE(here.submit(job));
    here.pass(60);
    CHECK(here.look("job").phase() == wire::PHASE_FAILED);
    CHECK(here.look("job").reason() == "job.0 failed 3 times, last: exit code 3");
    CHECK(here.record("job.0")->exit_code() == 3);
    CHECK(here.nodes.at("edge-1").starts == 3);
  }
  SUBCASE("the deadline ends what has not completed") {
    auto job = play::batch("job", 1);
    job.mutable_batch()->set_deadline_ms(20'000);
    REQUIRE(here.submit(job));
    here.pass(15);
    CHECK(here.running("job") == 1);
    here.pass(15);
    CHECK(here.running("job") == 0);
    CHECK(here.look("job").reason() == "did not complete before its deadline");
  }
}

SCENARIO("what fails is tried elsewhere, ever more slowly") {
  auto here = play{};
  here.add_node("edge-1");
  here.add_node("edge-2");
  here.failing.insert("web");
  REQUIRE(here.submit(play::service("web")));
  here.pass(300);
  const auto starts = here.nodes.at("edge-1").starts + here.nodes.at("edge-2").starts;
  CHECK(starts >= 6);
  CHECK(starts <= 14);
  CHECK(here.nodes.at("edge-1").starts > 0);
  CHECK(here.nodes.at("edge-2").starts > 0);
  here.failing.clear();
  here.pass(70);
  CHECK(here.running("web") == 1);
}

SCENARIO("another leader changes nothing that runs") {
  auto here = play{{"cloud-1", "cloud-2"}};
  for (const auto* name : {"edge-1", "edge-2", "edge-3"})
    here.add_node(name);
  REQUIRE(here.submit(with_policy(play::service("web", 5), wire::ON_DISCONNECT_REPLACE)));
  here.pass(5);
  const auto before = here.book.records;
  here.book.lead("cloud-2");
  here.pass(30);
  CHECK(here.running("web") == 5);
  CHECK(here.book.records.size() == before.size());
  for (const auto& [key, record] : before)
    CHECK(here.book.records.at(key).revision() == record.revision());
  const auto refused = here.stage.ask<wire::Submitted>(here.controllers.at("cloud-1"), wire::Submit{});
  REQUIRE_FALSE(refused);
  CHECK(explain(refused.error()).kind == fault::not_leader);
  CHECK(explain(refused.error()).text == "cloud-2");
  REQUIRE(here.submit(play::service("db")));
  here.pass(4);
  CHECK(here.running("db") == 1);
}

SCENARIO("what is decided in a term that is over counts no more") {
  auto here = play{};
  here.add_node("edge-1");
  // Others led meanwhile, and this one has not heard of it: people's orders still count, its own decisions do not.
  ++here.book.term;
  REQUIRE(here.submit(play::service("web")));
  here.pass(4);
  CHECK_FALSE(here.record("web.0"));
  CHECK(here.running("web") == 0);
  here.book.lead(here.book.leader);
  here.pass(4);
  CHECK(here.running("web") == 1);
}

SCENARIO("a node is told what changed, and the whole when it follows another assignment or gave no answer") {
  auto here = play{};
  here.add_node("edge-1");
  auto& edge = here.nodes.at("edge-1");
  REQUIRE(here.submit(play::service("web")));
  here.pass(4);
  const auto before = here.changes;
  REQUIRE(here.submit(play::service("api")));
  here.stage.settle();
  REQUIRE(edge.assigned.size() == 2);
  CHECK(here.changes == before + 1);

  SUBCASE("it has lost what it was told") {
    edge.revision = 1;
    edge.assigned.clear();
    REQUIRE(here.submit(play::service("db")));
    // Not after the next report: at once.
    here.stage.settle();
    CHECK(edge.assigned.size() == 3);
    CHECK(here.changes == before + 1);
    REQUIRE(here.submit(play::service("log")));
    here.stage.settle();
    CHECK(edge.assigned.size() == 4);
    CHECK(here.changes == before + 2);
  }
  SUBCASE("it could not be reached for a moment, and nobody noticed") {
    edge.connected = false;
    REQUIRE(here.submit(play::service("db")));
    here.stage.settle();
    REQUIRE(here.submit(play::service("log")));
    here.stage.settle();
    CHECK(edge.assigned.size() == 2);
    edge.connected = true;
    here.stage.pass(1s);
    CHECK(edge.assigned.size() == 4);
    CHECK(here.changes == before + 1);
  }
}

SCENARIO("a lost answer of the ledger is asked for again and counts once") {
  auto here = play{};
  here.add_node("edge-1");
  here.book.answers_lost = 2;
  auto order = wire::Submit{};
  *order.mutable_spec() = play::service("web", 2);
  caf::anon_send(here.boss(), order);
  here.pass(20);
  CHECK(here.book.answers_lost == 0);
  CHECK(here.running("web") == 2);
  CHECK(here.nodes.at("edge-1").starts == 2);
  REQUIRE(here.submit(play::service("db")));
  here.pass(4);
  CHECK(here.running("db") == 1);
}

SCENARIO("readers of events wait for them and miss none") {
  auto here = play{};
  auto question = wire::EventsRequest{};
  auto events = here.stage.ask<wire::Events>(here.boss(), question);
  REQUIRE(events);
  question.set_after(events->next());
  question.set_wait_ms(10'000);
  auto pending = here.stage.audience->request(here.boss(), caf::infinite, question);
  here.stage.settle();
  here.add_node("edge-1");
  auto verbs = strings{};
  pending.receive([&](const wire::Events& x) {
    for (const auto& event : x.events())
      verbs.push_back(event.noun() + "." + event.verb());
  }, [](const caf::error&) {});
  CHECK(verbs == strings{"node.arrived"});
  here.pass(2);
  question.set_after(0);
  question.set_wait_ms(0);
  events = here.stage.ask<wire::Events>(here.boss(), question);
  REQUIRE(events);
  question.set_after(events->next());
  question.set_wait_ms(10'000);
  auto nothing = here.stage.audience->request(here.boss(), caf::infinite, question);
  here.pass(11);
  auto answered = false;
  nothing.receive([&](const wire::Events& x) { answered = x.events_size() == 0; }, [](const caf::error&) {});
  CHECK(answered);
}

SCENARIO("a plan and an explanation say what would happen and why") {
  auto here = play{};
  here.add_node("edge-1", "a", 2500);
  here.add_node("edge-2", "b", 500);
  auto question = wire::PlanRequest{};
  *question.mutable_spec() = play::service("web", 3);
  const auto plan = here.stage.ask<wire::Plan>(here.boss(), question);
  REQUIRE(plan);
  CHECK(plan->summary() == "2 to start, 0 to move, 0 to stop, 0 to keep, 1 pending; 2 nodes: 2 lack cpu");
  CHECK_FALSE(plan->feasible());
  REQUIRE(here.submit(play::service("web", 2)));
  here.pass(3);
  auto why = wire::Explain{};
  why.set_name("web.0");
  const auto told = here.stage.ask<wire::Explanation>(here.boss(), why);
  REQUIRE(told);
  REQUIRE(told->instances_size() == 1);
  CHECK(told->instances(0).node() == "edge-1");
  CHECK(told->instances(0).scores(0).node() == "edge-1");
  CHECK(told->instances(0).scores(0).features().contains("room"));
  CHECK(told->instances(0).refusals(0).cause() == "cpu");
}
