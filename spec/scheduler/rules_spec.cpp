#include "actors/scheduler/placement.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace novacron::scheduler;

namespace {

using strings = std::vector<std::string>;

node_shape node(const std::string& name, labels of, std::vector<taint> taints = {}) {
  return {name, std::move(of), {4000, 1 << 30, 0, 0, "", {}}, {}, true, node_state::ready, std::move(taints)};
}

request one_of(const std::string& workload) {
  auto x = request{};
  x.workload = workload;
  x.need = {100, 1 << 10, 0, 0, "", {}};
  return x;
}

} // namespace

SCENARIO("a rule over labels holds or does not, also where there is no such label") {
  using enum label_rule::relation;
  const auto of = labels{{"zone", "a"}, {"cores", "12"}};
  CHECK(holds({"zone", in, {"b", "a"}}, of));
  CHECK_FALSE(holds({"zone", in, {"b"}}, of));
  CHECK_FALSE(holds({"disk", in, {"b"}}, of));
  CHECK(holds({"zone", not_in, {"b"}}, of));
  CHECK(holds({"disk", not_in, {"b"}}, of));
  CHECK_FALSE(holds({"zone", not_in, {"a"}}, of));
  CHECK(holds({"zone", exists, {}}, of));
  CHECK_FALSE(holds({"disk", exists, {}}, of));
  CHECK(holds({"disk", absent, {}}, of));
  CHECK_FALSE(holds({"zone", absent, {}}, of));
  CHECK(holds({"cores", above, {"11.5"}}, of));
  CHECK_FALSE(holds({"cores", above, {"12"}}, of));
  CHECK(holds({"cores", below, {"13"}}, of));
  CHECK_FALSE(holds({"cores", below, {"12"}}, of));
  CHECK_FALSE(holds({"zone", above, {"1"}}, of));
  CHECK_FALSE(holds({"cores", above, {"x"}}, of));
  CHECK_FALSE(holds({"disk", below, {"1"}}, of));
}

SCENARIO("only nodes whose labels are as they must be are taken, and the others say why") {
  auto all = cluster{};
  all.set_node(node("a", {{"gpu", "old"}}));
  all.set_node(node("b", {{"gpu", "new"}}));
  all.set_node(node("c", {}));
  auto x = one_of("web");
  x.where = {{"gpu", label_rule::relation::not_in, {"old"}}, {"gpu", label_rule::relation::exists, {}}};
  CHECK(all.place(x)->node == "b");
  CHECK(all.why_not(x) == "3 nodes: 1 fit, 2 wrong gpu");
  // What was worked out before is not believed when a node changes.
  all.set_node(node("b", {{"gpu", "old"}}));
  CHECK_FALSE(all.place(x));
  all.set_node(node("c", {{"gpu", "newest"}}));
  CHECK(all.place(x)->node == "c");
}

SCENARIO("a taint keeps off what does not tolerate it") {
  const auto only = taint{"gpu", "only", taint_effect::refuse};
  CHECK(tolerates({{"", "", ""}}, only));
  CHECK(tolerates({{"gpu", "", ""}}, only));
  CHECK(tolerates({{"gpu", "only", "refuse"}}, only));
  CHECK_FALSE(tolerates({{"gpu", "no", ""}}, only));
  CHECK_FALSE(tolerates({{"gpu", "", "evict"}}, only));
  CHECK_FALSE(tolerates({}, only));
  auto all = cluster{};
  all.set_node(node("a", {}, {only}));
  auto x = one_of("web");
  CHECK_FALSE(all.place(x));
  CHECK(all.why_not(x) == "1 node: 1 with a taint it does not tolerate");
  x.tolerate = {{"gpu", "", ""}};
  CHECK(all.place(x)->node == "a");
  x.tolerate.clear();
  all.set_node(node("a", {}, {{"slow", "", taint_effect::avoid}}));
  CHECK(all.place(x)->node == "a");
  all.set_node(node("b", {}));
  CHECK(all.place(x)->node == "b");
  all.remove_node("b");
  all.set_node(node("a", {}));
  CHECK(all.place(x)->node == "a");
}

SCENARIO("the policy of cost takes the cheapest node, that of spread another zone each time") {
  auto all = cluster{"cost"};
  all.set_node(node("a", {{"price", "3"}, {"zone", "x"}}));
  all.set_node(node("b", {{"price", "0.5"}, {"zone", "x"}}));
  all.set_node(node("c", {{"price", "2"}, {"zone", "y"}}));
  auto x = one_of("web");
  CHECK(all.place(x)->node == "b");
  all.use_policy("spread");
  all.take("web.0", {"b", "web", x.need, {}, {}, {}});
  CHECK(all.place(x)->node == "c");
  all.take("web.1", {"c", "web", x.need, {}, {}, {}});
  CHECK(all.place(x)->node == "a");
  const auto scores = all.explain(x).scores;
  REQUIRE(scores.size() == 3);
  for (const auto& score : scores)
    CHECK(all.score_on(x, score.node) == score.score);
}

SCENARIO("a policy that was defined weighs as it says, and names with a meaning of their own keep it") {
  auto all = cluster{};
  all.set_node(node("a", {{"price", "3"}}));
  all.set_node(node("b", {}));
  auto dear = features{};
  dear[feature::price] = -1;
  all.define_policy("dear", dear);
  all.define_policy("cost", dear);
  auto x = one_of("web");
  x.policy = "dear";
  CHECK(all.place(x)->node == "a");
  x.policy = "cost";
  CHECK(all.place(x)->node == "b");
  all.define_policy("dear", std::nullopt);
  x.policy = "dear";
  CHECK(all.place(x));
  CHECK(policy_names() == strings{"affinity", "balance", "cost", "fragmentation", "pack", "spread"});
}
