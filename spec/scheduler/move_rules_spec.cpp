#include "actors/scheduler/move_rules.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace novacron::scheduler;

namespace {

using way = leave_choice::way;

constexpr auto minute = std::int64_t{60'000};
constexpr auto noon = std::int64_t{720} * minute;

struct attempts {
  std::vector<wire::Migration> all;

  attempts& with(const std::string& target, std::int64_t ended_ms, const std::string& reason = "the link broke") {
    auto& x = all.emplace_back();
    x.set_instance("vm.0");
    x.set_source("a");
    x.set_target(target);
    x.set_phase("kept");
    x.set_cause("drain");
    x.set_reason(reason);
    x.set_began_ms(ended_ms - 1000);
    x.set_ended_ms(ended_ms);
    return *this;
  }
  leave_choice choose(const std::string& why_not = {}, std::int64_t since = 0) const {
    auto seen = std::vector<const wire::Migration*>{};
    for (const auto& each : all)
      seen.push_back(&each);
    return choose_leave(why_not, seen, "vm.0", "a", since, noon);
  }
};

wire::WorkloadSpec machine() {
  auto spec = wire::WorkloadSpec{};
  spec.set_kind(wire::WORKLOAD_KIND_VM);
  spec.mutable_network()->set_mode("none");
  return spec;
}

} // namespace

SCENARIO("what has memory of its own, no network and no device is moved while it runs") {
  CHECK(why_never_live(machine()) == "");
  auto x = machine();
  x.set_kind(wire::WORKLOAD_KIND_SANDBOX);
  CHECK(why_never_live(x) == "");
  for (const auto kind : {wire::WORKLOAD_KIND_CONTAINER, wire::WORKLOAD_KIND_BATCH, wire::WORKLOAD_KIND_FUNCTION}) {
    x.set_kind(kind);
    CHECK(why_never_live(x).find("no virtual machine") != std::string::npos);
  }
  x = machine();
  x.mutable_network()->clear_mode();
  CHECK(why_never_live(x).find("network") != std::string::npos);
  x = machine();
  x.mutable_resources()->set_gpu_milli(1);
  CHECK(why_never_live(x).find("GPU") != std::string::npos);
}

SCENARIO("a node has two moves at a time, and a link one, whichever way they go") {
  auto x = move_slots{};
  CHECK(x.free("a", "b"));
  CHECK(x.closed_from("a").empty());
  x.take("a", "b");
  CHECK_FALSE(x.free("a", "b"));
  CHECK_FALSE(x.free("b", "a"));
  CHECK(x.why_not("b", "a").find("between b and a") != std::string::npos);
  CHECK(x.free("a", "c"));
  CHECK(x.closed_from("a") == std::vector<std::string>{"b"});
  CHECK(x.closed_from("c").empty());
  x.take("c", "b");
  CHECK_FALSE(x.has_free("b"));
  CHECK(x.free("a", "c"));
  CHECK_FALSE(x.free("d", "b"));
  CHECK(x.why_not("d", "b").find("b has 2 moves") != std::string::npos);
  CHECK(x.closed_from("d") == std::vector<std::string>{"b"});
}

SCENARIO("what has to leave tries twice to do so while it runs, then it is started anew") {
  CHECK(attempts{}.choose().how == way::live);
  const auto once = attempts{}.with("b", noon - minute).choose();
  CHECK(once.how == way::live);
  CHECK(once.failed_at == std::vector<std::string>{"b"});
  const auto twice = attempts{}.with("c", noon - 1, "its disk is full").with("b", noon - minute).choose();
  CHECK(twice.how == way::restart);
  CHECK(twice.why.find("to c, because its disk is full") != std::string::npos);
  const auto never = attempts{}.choose("it uses a GPU");
  CHECK(never.how == way::restart);
  CHECK(never.why == "it uses a GPU");
}

SCENARIO("only attempts to leave this node count, and only for a while") {
  auto x = attempts{}.with("b", noon - minute).with("c", noon - minute);
  SUBCASE("not what was made") { x.all[0].set_phase("moved"); }
  SUBCASE("not what is under way") { x.all[0].set_phase("moving"); }
  SUBCASE("not what somebody asked for") { x.all[0].set_cause("asked"); }
  SUBCASE("not of others") { x.all[0].set_instance("vm.1"); }
  SUBCASE("not from elsewhere") { x.all[0].set_source("d"); }
  SUBCASE("not from long ago") { x.all[0].set_ended_ms(noon - 10 * minute); }
  SUBCASE("not from before it had to leave") { x.all[0].set_began_ms(noon - 5 * minute - 1); }
  const auto now = x.choose({}, noon - 5 * minute);
  CHECK(now.how == way::live);
  CHECK(now.failed_at == std::vector<std::string>{"c"});
  // On the other side of each boundary it counts.
  x.all[0].set_phase("kept");
  x.all[0].set_cause("drain");
  x.all[0].set_instance("vm.0");
  x.all[0].set_source("a");
  x.all[0].set_ended_ms(noon - 10 * minute + 1);
  x.all[0].set_began_ms(noon - 5 * minute);
  CHECK(x.choose({}, noon - 5 * minute).how == way::restart);
}

SCENARIO("what somebody cancelled is not started anew for that, but tried again later") {
  const auto x = attempts{}.with("b", noon - 9 * minute, std::string{was_cancelled}).choose();
  CHECK(x.how == way::wait);
  CHECK(x.until_ms == noon + minute);
  CHECK(x.why.find("cancelled") != std::string::npos);
  CHECK(attempts{}.with("b", noon - 10 * minute, std::string{was_cancelled}).choose().how == way::live);
}
