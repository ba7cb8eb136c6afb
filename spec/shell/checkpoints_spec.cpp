#include "actors/shell/checkpoints.hpp"
#include "actors/shell/failure.hpp"
#include "actors/shell/program.hpp"
#include "spec/shell/fake_fabric.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

using namespace novacron::shell;
namespace v1 = novacron::v1;

namespace {

v1::Checkpoint checkpoint(const std::string& name, const std::string& workload, std::int64_t made_ms,
                          const std::string& node = "cloud-1") {
  auto x = v1::Checkpoint{};
  x.set_name(name);
  x.set_node(node);
  x.set_instance(workload + ".0");
  x.mutable_spec()->set_name(workload);
  x.mutable_spec()->set_kind(v1::WORKLOAD_KIND_SANDBOX);
  x.mutable_spec()->set_replicas(1);
  x.set_made_ms(made_ms);
  return x;
}

v1::WorkloadView view(v1::Phase phase, const std::string& node = "cloud-1") {
  auto x = v1::WorkloadView{};
  auto& one = *x.add_instances();
  one.set_name("db.0");
  one.set_node(node);
  one.set_phase(phase);
  return x;
}

/// What is said when it cannot be.
template <class Attempt>
std::string refusal(Attempt attempt) {
  try {
    attempt();
  } catch (const failure& x) {
    return x.what();
  }
  return "done";
}

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != text.npos;
}

struct outcome {
  int code = 0;
  std::string out;
  std::string err;
};

outcome run_on(const fake_fabric& fabric, std::vector<std::string> words) {
  auto out = std::ostringstream{};
  auto err = std::ostringstream{};
  words.insert(words.begin(), "--connect=" + fabric.path());
  auto within = program{{}, {.out = out, .err = err}};
  const auto code = within.run(words);
  return {code, out.str(), err.str()};
}

} // namespace

SCENARIO("the latest checkpoint of a workload is meant unless one is named") {
  auto all = v1::CheckpointList{};
  *all.add_checkpoints() = checkpoint("db-1", "db", 100);
  *all.add_checkpoints() = checkpoint("db-2", "db", 300);
  *all.add_checkpoints() = checkpoint("db-0", "db", 200, "edge-1");
  *all.add_checkpoints() = checkpoint("web-1", "web", 900);
  CHECK(choose_checkpoint(all, "db", "", "").name() == "db-2");
  CHECK(choose_checkpoint(all, "db", "", "edge-1").name() == "db-0");
  CHECK(choose_checkpoint(all, "db", "db-1", "").made_ms() == 100);
  CHECK(choose_checkpoint(all, "", "web-1", "").made_ms() == 900);
  CHECK(says(refusal([&] { choose_checkpoint(all, "cache", "", ""); }), "`workload checkpoint cache` makes one"));
  CHECK(says(refusal([&] { choose_checkpoint(all, "db", "web-1", ""); }), "no checkpoint 'web-1' of db"));
  CHECK(says(refusal([&] { choose_checkpoint(all, "", "wep-1", ""); }), "web-1"));
  *all.add_checkpoints() = checkpoint("db-1", "db", 400, "edge-1");
  CHECK(says(refusal([&] { choose_checkpoint(all, "db", "db-1", ""); }), "say which: --node=cloud-1"));
}

SCENARIO("what runs is put back where it is; what is stopped begins where its checkpoint lies") {
  const auto from = checkpoint("db-1", "db", 100);
  CHECK(plan_restoring(from, view(v1::PHASE_RUNNING), "").in_place);
  CHECK(plan_restoring(from, view(v1::PHASE_PAUSED), "").in_place);
  for (const auto& now :
       {std::optional<v1::WorkloadView>{}, std::optional{view(v1::PHASE_STOPPED)}, std::optional{v1::WorkloadView{}}}) {
    const auto plan = plan_restoring(from, now, "");
    CHECK_FALSE(plan.in_place);
    CHECK(plan.spec.name() == "db");
    CHECK(plan.spec.checkpoint() == "db-1");
    CHECK(plan.spec.placement().require().at("node") == "cloud-1");
  }
  CHECK(says(refusal([&] { plan_restoring(from, view(v1::PHASE_RUNNING, "edge-1"), ""); }), "db.0 runs on edge-1"));
  CHECK(says(refusal([&] { plan_restoring(from, view(v1::PHASE_STARTING), ""); }), "wait until it runs"));
  // Who asks for another workload does not want to lose what this one has done.
  CHECK(says(refusal([&] { plan_restoring(from, view(v1::PHASE_RUNNING), "db"); }), "take another name"));
  CHECK_FALSE(plan_restoring(from, view(v1::PHASE_STOPPED), "db").in_place);
  auto many = checkpoint("db-1", "db", 100);
  many.mutable_spec()->set_replicas(3);
  CHECK(says(refusal([&] { plan_restoring(many, v1::WorkloadView{}, ""); }), "--as=NAME"));
  auto broken = from;
  broken.set_unusable("it was made with another QEMU");
  CHECK(says(refusal([&] { plan_restoring(broken, view(v1::PHASE_RUNNING), ""); }), "made with another QEMU"));
}

SCENARIO("another workload begins from a checkpoint with a name of its own, and one instance") {
  auto from = checkpoint("db-1", "db", 100);
  from.mutable_spec()->set_replicas(3);
  const auto plan = plan_restoring(from, view(v1::PHASE_RUNNING), "copy");
  CHECK_FALSE(plan.in_place);
  CHECK(plan.spec.name() == "copy");
  CHECK(plan.spec.replicas() == 1);
  CHECK(plan.spec.checkpoint() == "db-1");
  from.mutable_spec()->mutable_network()->add_ports()->set_host(8080);
  CHECK(says(refusal([&] { plan_restoring(from, view(v1::PHASE_RUNNING), "copy"); }), "ports of the host"));
  CHECK(refusal([&] { plan_restoring(from, view(v1::PHASE_STOPPED), "copy"); }) == "done");
}

SCENARIO("commands about checkpoints say what was asked, and what came of it") {
  auto fabric = fake_fabric{[](const fake_request& x) {
    if (x.line.find(":checkpoint") != std::string::npos)
      return answer(R"({"name":"db-1","node":"cloud-1","instance":"db.0","sizeBytes":"1048576","frozenMs":"12"})");
    if (x.line.find(":restore") != std::string::npos)
      return answer(R"({"instance":"db.0","node":"cloud-1","checkpoint":"db-1","frozenMs":"310"})");
    if (x.line.starts_with("GET /v1/checkpoints"))
      return answer(R"({"checkpoints":[{"name":"db-1","node":"cloud-1","instance":"db.0","spec":{"name":"db"},)"
                    R"("madeMs":"1","frozenMs":"12"}]})");
    if (x.line.starts_with("GET /v1/workloads/db"))
      return answer(R"({"instances":[{"name":"db.0","node":"cloud-1","phase":"PHASE_RUNNING"}]})");
    return answer("{}");
  }};
  auto said = run_on(fabric, {"workload", "checkpoint", "db.0", "--name=db-1"});
  CHECK(said.code == 0);
  CHECK(says(said.out, "checkpoint db-1 of db.0 on cloud-1: "));
  CHECK(says(said.out, "; it stood still for 12 ms and runs on"));
  CHECK(fabric.asked().back().line.starts_with("POST /v1/instances/db.0:checkpoint?wait_ms="));
  CHECK(says(run_on(fabric, {"workload", "checkpoint", "db.0", "--stop"}).out, "it is stopped"));
  CHECK(fabric.asked().back().line == "POST /v1/workloads/db:stop");
  CHECK(says(run_on(fabric, {"workload", "restore", "db"}).out,
             "runs from checkpoint db-1 again; it was away for 310 ms"));
  CHECK(run_on(fabric, {"checkpoint", "list", "-q"}).out == "db-1\n");
  CHECK(says(run_on(fabric, {"checkpoint", "show", "db-1"}).out, "12 ms"));
  CHECK(run_on(fabric, {"checkpoint", "delete", "db-1"}).code == 0);
  CHECK(fabric.asked().back().line == "DELETE /v1/checkpoints/db-1?node=cloud-1");
  CHECK(run_on(fabric, {"checkpoint", "delete", "db-9"}).code == 3);
}
