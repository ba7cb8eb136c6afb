/// What orders about functions mean for the ledger.

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/orders.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>

using namespace novacron;
using namespace novacron::scheduler;

namespace {

wire::WorkloadSpec function() {
  auto x = wire::WorkloadSpec{};
  x.set_name("resize");
  x.set_kind(wire::WORKLOAD_KIND_FUNCTION);
  x.mutable_program()->set_image("image:1");
  x.mutable_function()->set_instances_max(5);
  return x;
}

void follow(truth& to, const order& x) {
  REQUIRE_FALSE(x.refused);
  ++to.index;
  for (const auto& op : x.ops) {
    auto entry = wire::LedgerEntry{};
    entry.set_key(op.key());
    entry.set_value(op.value());
    entry.set_revision(to.index);
    to.write(entry);
  }
}

order submit(truth& to, const wire::WorkloadSpec& spec) {
  auto asked = wire::Submit{};
  *asked.mutable_spec() = spec;
  auto x = order_submit(to, asked, 1);
  if (!x.refused)
    follow(to, x);
  return x;
}

order scale(truth& to, unsigned instances, const std::string& name = "resize") {
  auto asked = wire::ScaleFunction{};
  asked.set_name(name);
  asked.set_instances(instances);
  auto x = order_scale(to, asked);
  if (!x.refused)
    follow(to, x);
  return x;
}

std::string wrong(const std::function<void(wire::WorkloadSpec&)>& change) {
  auto x = function();
  change(x);
  return what_is_wrong(x, {});
}

} // namespace

SCENARIO("a function begins with as many instances as are to be there without a call") {
  auto now = truth{};
  submit(now, function());
  CHECK(now.find_workload("resize")->spec().replicas() == 0);
  auto two = function();
  two.set_name("two");
  two.mutable_function()->set_instances_min(2);
  submit(now, two);
  CHECK(now.find_workload("two")->spec().replicas() == 2);
}

SCENARIO("its calls set how many there are, within its rules, and that is no new generation") {
  auto now = truth{};
  submit(now, function());
  const auto before = now.find_workload("resize")->generation();
  CHECK(scale(now, 3).effect == "changed");
  CHECK(now.find_workload("resize")->spec().replicas() == 3);
  CHECK(now.find_workload("resize")->generation() == before);
  CHECK(scale(now, 3).ops.empty());
  scale(now, 100);
  CHECK(now.find_workload("resize")->spec().replicas() == 5);
  scale(now, 0);
  CHECK(now.find_workload("resize")->spec().replicas() == 0);
}

SCENARIO("who submits a function again leaves their number as it is, within the new rules") {
  auto now = truth{};
  submit(now, function());
  scale(now, 4);
  CHECK(submit(now, function()).ops.empty());
  auto changed = function();
  changed.mutable_program()->set_image("image:2");
  submit(now, changed);
  CHECK(now.find_workload("resize")->spec().replicas() == 4);
  CHECK(now.outdated("resize", 1));
  changed.mutable_function()->set_instances_max(2);
  submit(now, changed);
  CHECK(now.find_workload("resize")->spec().replicas() == 2);
  // Numbers alone start nothing anew; how a handler is called does.
  CHECK_FALSE(now.outdated("resize", 2));
  changed.mutable_function()->set_handler("stream");
  submit(now, changed);
  CHECK(now.outdated("resize", 3));
}

SCENARIO("only a function that runs is scaled") {
  auto now = truth{};
  CHECK(scale(now, 1).refused == fault::not_found);
  auto web = function();
  web.set_name("web");
  web.set_kind(wire::WORKLOAD_KIND_CONTAINER);
  web.clear_function();
  submit(now, web);
  CHECK(scale(now, 1, "web").refused == fault::bad_request);
  submit(now, function());
  auto stop = wire::StopWorkload{};
  stop.set_name("resize");
  follow(now, order_stop(now, stop));
  CHECK(scale(now, 1).refused == fault::conflict);
}

SCENARIO("what a function leaves open has a meaning") {
  const auto x = with_defaults(function());
  CHECK(x.function().handler() == "each");
  CHECK(x.function().concurrency() == 1);
  CHECK(x.function().instances_max() == 5);
  CHECK(x.function().waiting_max() == 100);
  CHECK(x.function().timeout_ms() == 30'000);
  CHECK(x.function().keep_alive_ms() == 60'000);
  CHECK(x.on_disconnect().action() == wire::ON_DISCONNECT_REPLACE);
  CHECK(x.restart().when() == wire::RESTART_WHEN_ALWAYS);
}

SCENARIO("rules of a function that make no sense are refused in words") {
  CHECK(wrong([](auto&) {}).empty());
  CHECK(wrong([](auto& x) { x.set_kind(wire::WORKLOAD_KIND_CONTAINER); }) == "function rules need kind function");
  CHECK(wrong([](auto& x) { x.mutable_function()->set_handler("http"); }) ==
        "function.handler is http; it can be each or stream");
  CHECK(wrong([](auto& x) { x.mutable_function()->set_concurrency(32); }).empty());
  CHECK(wrong([](auto& x) { x.mutable_function()->set_concurrency(33); }) == "function.concurrency is 33, at most 32");
  CHECK(wrong([](auto& x) { x.mutable_function()->set_instances_min(5); }).empty());
  CHECK(wrong([](auto& x) { x.mutable_function()->set_instances_min(6); }) ==
        "function.instances_min is above function.instances_max");
  CHECK_FALSE(wrong([](auto& x) {
                x.mutable_function()->clear_instances_max();
                x.mutable_function()->set_instances_min(11);
              }).empty());
  CHECK_FALSE(wrong([](auto& x) { x.mutable_function()->set_instances_max(10'001); }).empty());
  CHECK(wrong([](auto& x) { x.mutable_function()->set_waiting_max(1000); }).empty());
  CHECK_FALSE(wrong([](auto& x) { x.mutable_function()->set_waiting_max(1001); }).empty());
  CHECK(wrong([](auto& x) { x.mutable_function()->set_timeout_ms(60'000); }).empty());
  CHECK_FALSE(wrong([](auto& x) { x.mutable_function()->set_timeout_ms(60'001); }).empty());
  CHECK_FALSE(wrong([](auto& x) { x.mutable_function()->set_keep_alive_ms(~0ull); }).empty());
  CHECK_FALSE(wrong([](auto& x) { x.mutable_health()->set_port(80); }).empty());
  CHECK_FALSE(wrong([](auto& x) { x.mutable_placement()->set_gang(true); }).empty());
}
