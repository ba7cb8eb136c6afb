#include "actors/scheduler/orders.hpp"
#include "actors/scheduler/reconciler.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace novacron;
using namespace novacron::scheduler;

namespace {

/// A reconciler, the ledger it writes to, and nodes that do at once what they are told.
class desk {
public:
  explicit desk(int nodes) : book_{settings()} {
    book_.reset({});
    book_.lead(now_);
    for (auto i = 0; i < nodes; ++i) {
      auto facts = wire::NodeFacts{};
      facts.set_name("n" + std::to_string(i));
      facts.set_zone(i % 2 ? "b" : "a");
      facts.set_hosts_workloads(true);
      facts.set_incarnation(1);
      facts.mutable_capacity()->set_cpu_milli(cpu_of(facts.name()));
      facts.mutable_capacity()->set_memory_bytes(1 << 30);
      book_.arrive(facts, now_);
      running_[facts.name()];
    }
    settle();
  }

  static std::uint64_t cpu_of(const std::string& node) { return 2000 + 1000 * (node.back() % 3); }

  bool follow(const order& x) {
    if (x.refused)
      return false;
    write(x.ops);
    settle();
    return true;
  }
  const truth& facts() const { return book_.facts(); }
  const std::map<std::string, wire::Instance>& instances() const { return instances_; }
  reconciler& book() { return book_; }
  std::int64_t ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  }
  /// The instance comes to its end by itself.
  void end(const std::string& instance, wire::Phase phase) {
    for (auto& [node, has] : running_)
      if (const auto found = has.find(instance); found != has.end())
        found->second.set_phase(phase);
    report_all();
    settle();
  }
  void pass(int seconds) {
    now_ += std::chrono::seconds{seconds};
    settle();
  }
  /// Asked after every command of the ledger.
  std::function<void()> look = [] {};
  /// Nodes that do what they are told and do not say so.
  std::set<std::string> silent;

  void settle() {
    auto rounds = 0;
    for (auto quiet = false; !quiet;) {
      quiet = true;
      // Whoever decides comes to an end.
      REQUIRE(++rounds < 1000);
      for (auto ops = book_.propose(now_, ms()); !ops.empty(); ops = book_.propose(now_, ms())) {
        quiet = false;
        write(ops);
      }
      for (const auto& what : book_.assign()) {
        quiet = false;
        const auto& [node, revision] = std::visit(
            [&](const auto& x) {
              take(x);
              return std::pair{x.node(), x.revision()};
            },
            what);
        book_.delivered(node, revision);
        report(node);
      }
    }
  }

private:
  static reconcile_config settings() {
    auto x = reconcile_config{};
    x.node = "cloud-1";
    return x;
  }

  void write(const std::vector<wire::LedgerOp>& ops) {
    auto change = wire::LedgerChanged{};
    change.set_index(++index_);
    auto keys = std::set<std::string>{};
    for (const auto& op : ops) {
      if (!keys.insert(op.key()).second || (op.conditional() && facts().revision_of(op.key()) != op.revision()))
        FAIL("a command that no ledger would apply: " << op.key());
      const auto instance = op.key().starts_with("instance/") ? op.key().substr(9) : "";
      if (op.remove()) {
        change.add_removed(op.key());
        instances_.erase(instance);
        continue;
      }
      auto& entry = *change.add_written();
      entry.set_key(op.key());
      entry.set_value(op.value());
      entry.set_revision(index_);
      if (!instance.empty())
        instances_[instance].ParseFromString(op.value());
    }
    book_.apply(change);
    look();
  }

  void take(const wire::Assign& what) {
    auto next = std::map<std::string, wire::InstanceStatus>{};
    for (const auto& x : what.instances())
      run(x, next);
    running_[what.node()] = std::move(next);
    revisions_[what.node()] = what.revision();
  }
  void take(const wire::AssignChange& what) {
    REQUIRE(what.base() == revisions_[what.node()]);
    auto next = running_[what.node()];
    for (const auto& name : what.gone())
      next.erase(name);
    for (const auto& x : what.instances()) {
      next.erase(x.name());
      run(x, next);
    }
    running_[what.node()] = std::move(next);
    revisions_[what.node()] = what.revision();
  }
  void run(const wire::Instance& x, std::map<std::string, wire::InstanceStatus>& next) {
    if (x.outcome() != wire::PHASE_UNSPECIFIED)
      return;
    auto& status = next[x.name()];
    const auto& has = running_[x.node()];
    const auto before = has.find(x.name());
    if (before != has.end() && before->second.epoch() == x.epoch())
      status = before->second;
    else
      status.set_phase(wire::PHASE_RUNNING);
    status.set_name(x.name());
    status.set_epoch(x.epoch());
    status.set_generation(x.generation());
  }

  void report(const std::string& node) {
    if (silent.contains(node))
      return;
    auto x = wire::NodeReport{};
    x.set_node(node);
    x.set_incarnation(1);
    x.set_number(++number_);
    x.set_takes_changes(true);
    x.set_revision(revisions_[node]);
    for (const auto& [name, status] : running_[node])
      *x.add_instances() = status;
    book_.report(x, now_, ms());
  }
  void report_all() {
    for (const auto& [node, has] : running_)
      report(node);
  }

  reconciler book_;
  instant now_ = instant{} + std::chrono::hours{1};
  std::uint64_t index_ = 0;
  std::uint64_t number_ = 0;
  std::map<std::string, wire::Instance> instances_;
  std::map<std::string, std::map<std::string, wire::InstanceStatus>> running_;
  std::map<std::string, std::uint64_t> revisions_;
};

bool takes_room(const wire::Instance& x) {
  return !x.node().empty() && (x.outcome() == wire::PHASE_UNSPECIFIED || x.outcome() == wire::PHASE_STOPPING);
}

wire::WorkloadSpec service(const std::string& name, std::uint32_t replicas, std::uint64_t cpu) {
  auto spec = wire::WorkloadSpec{};
  spec.set_name(name);
  spec.mutable_program()->set_image("web:1");
  spec.mutable_resources()->set_cpu_milli(cpu);
  spec.set_replicas(replicas);
  return spec;
}

/// With a revision, only while the record is at it.
order submit(desk& x, const wire::WorkloadSpec& spec, std::int64_t now_ms, std::int64_t revision = -1) {
  auto asked = wire::Submit{};
  *asked.mutable_spec() = spec;
  if (revision >= 0)
    asked.set_revision(static_cast<std::uint64_t>(revision));
  return order_submit(x.facts(), asked, now_ms);
}

order quota_of(const truth& now, const std::string& tenant, std::uint64_t cpu) {
  auto x = wire::SetQuota{};
  x.mutable_quota()->set_tenant(tenant);
  (*x.mutable_quota()->mutable_limits())["cpu"] = cpu;
  return order_quota(now, x);
}

} // namespace

SCENARIO("in a hundred thousand random cases no quota is exceeded, no gang is partial, and nobody loses a place") {
  auto chance = std::mt19937_64{23};
  const auto roll = [&](std::uint64_t n) { return chance() % n; };
  auto checks = 0;
  auto displaced = 0;
  auto gangs = 0;
  for (auto world = 0; checks < 100'000; ++world) {
    CAPTURE(world);
    const auto nodes = 2 + static_cast<int>(roll(4));
    auto x = desk{nodes};
    auto used = std::map<std::string, std::uint64_t>{};
    auto whole = std::set<std::string>{};
    x.look = [&] {
      auto now = std::map<std::string, std::uint64_t>{};
      auto on = std::map<std::string, std::uint64_t>{};
      auto members = std::map<std::string, std::uint32_t>{};
      for (const auto& [name, each] : x.instances()) {
        const auto* spec = x.facts().spec_of(each.workload(), each.generation());
        if (!takes_room(each) || !spec)
          continue;
        const auto cpu = spec->resources().cpu_milli();
        now[spec->tenant()] += cpu;
        on[each.node()] += cpu;
        if (!each.leaving().node().empty())
          on[each.leaving().node()] += cpu;
        if (!each.next().node().empty())
          on[each.next().node()] += cpu;
        ++members[each.workload()];
      }
      auto wrong = std::string{};
      for (const auto& [node, cpu] : on)
        if (++checks; cpu > desk::cpu_of(node))
          wrong += node + " holds more than it has; ";
      for (const auto& [tenant, quota] : x.facts().quotas)
        // What is there when a limit is lowered stays; it does not grow.
        if (++checks; now[tenant] > std::max(quota.value.limits().at("cpu"), used[tenant]))
          wrong += tenant + " has more than it may; ";
      for (const auto& [workload, record] : x.facts().workloads) {
        const auto& spec = record.value.spec();
        if (!spec.placement().gang() || record.value.stopped() || whole.contains(workload))
          continue;
        if (++checks; members[workload] != 0 && members[workload] != spec.replicas())
          wrong += workload + " is there in part; ";
        if (members[workload] > 0 && whole.insert(workload).second)
          ++gangs;
      }
      for (const auto& [name, each] : x.instances())
        if (each.outcome() == wire::PHASE_STOPPING && each.reason().starts_with("makes room for")) {
          if (++checks; each.next().node().empty())
            wrong += name + " has no other place; ";
          ++displaced;
        }
      REQUIRE(wrong == "");
      used = now;
    };
    for (auto step = 0; step < 60; ++step) {
      const auto name = "w" + std::to_string(roll(12));
      switch (roll(6)) {
        case 0: {
          auto stop = wire::StopWorkload{};
          stop.set_name(name);
          stop.set_forget(true);
          x.follow(order_stop(x.facts(), stop));
          whole.erase(name);
          break;
        }
        case 1: x.follow(quota_of(x.facts(), "t" + std::to_string(roll(3)), 500 * roll(12))); break;
        case 2: {
          auto moves = wire::Rebalance{};
          moves.set_max_moves(static_cast<std::uint32_t>(1 + roll(3)));
          x.book().rebalance(moves);
          x.settle();
          break;
        }
        default: {
          if (x.facts().find_workload(name))
            break;
          auto spec = service(name, static_cast<std::uint32_t>(1 + roll(3)), 250 * (1 + roll(7)));
          spec.set_priority(static_cast<std::int32_t>(roll(3)));
          if (roll(2) == 0)
            spec.set_tenant("t" + std::to_string(roll(3)));
          spec.mutable_placement()->set_gang(roll(4) == 0);
          if (roll(5) == 0)
            spec.mutable_placement()->add_apart(name);
          REQUIRE(x.follow(submit(x, spec, x.ms())));
        }
      }
      // Once all is quiet, whoever had a place has one.
      auto lost = std::string{};
      for (const auto& [instance, each] : x.instances())
        if (each.outcome() == wire::PHASE_STOPPING || each.node().empty())
          lost += instance + " ";
      REQUIRE(lost == "");
    }
  }
  CHECK(displaced > 20);
  CHECK(gangs > 100);
}

SCENARIO("who has less of what is meant for it comes first when room is free again") {
  auto x = desk{1};
  auto great = service("great", 1, 2000);
  great.set_tenant("a");
  REQUIRE(x.follow(submit(x, great, 1)));
  auto more = service("a-more", 1, 1000);
  more.set_tenant("a");
  auto first = service("b-first", 1, 1000);
  first.set_tenant("b");
  auto filler = service("filler", 1, desk::cpu_of("n0") - 2000);
  filler.set_tenant("c");
  if (desk::cpu_of("n0") > 2000)
    REQUIRE(x.follow(submit(x, filler, 2)));
  REQUIRE(x.follow(submit(x, more, 3)));
  REQUIRE(x.follow(submit(x, first, 4)));
  CHECK(x.instances().count("b-first.0") == 0);
  // Half of what `a` has is free again: `b` has nothing yet, although it came later.
  auto less = great;
  less.mutable_resources()->set_cpu_milli(1000);
  REQUIRE(x.follow(submit(x, less, 5)));
  CHECK(x.instances().count("b-first.0") == 1);
  CHECK(x.instances().count("a-more.0") == 0);
}

SCENARIO("who finds no room is not overtaken for ever") {
  auto chance = std::mt19937_64{29};
  for (auto world = 0; world < 30; ++world) {
    CAPTURE(world);
    auto x = desk{3};
    const auto gang = world % 3 == 0;
    // Small ones come and go all the time and leave no node empty; each runs for 20 s.
    auto ends = std::map<std::string, int>{};
    auto next = 0;
    const auto arrive = [&](int now) {
      const auto name = "small-" + std::to_string(next++);
      auto spec = service(name, 1, 500 + 250 * (chance() % 3));
      spec.set_kind(wire::WORKLOAD_KIND_BATCH);
      spec.set_replicas(0);
      REQUIRE(x.follow(submit(x, spec, x.ms())));
      ends[name + ".0"] = now + 20;
    };
    for (auto i = 0; i < 12; ++i)
      arrive(0);
    auto great = service("great", gang ? 2 : 1, gang ? 2000 : 4000);
    great.mutable_placement()->set_gang(gang);
    REQUIRE(x.follow(submit(x, great, x.ms())));
    auto placed = -1;
    for (auto second = 1; second < 600 && placed < 0; ++second) {
      x.pass(1);
      arrive(second);
      auto over = std::vector<std::string>{};
      for (const auto& [name, end] : ends)
        if (end <= second && x.instances().count(name) > 0 && takes_room(x.instances().at(name)) &&
            x.instances().at(name).outcome() == wire::PHASE_UNSPECIFIED)
          over.push_back(name);
      for (const auto& name : over)
        x.end(name, wire::PHASE_COMPLETED);
      if (x.instances().count("great.0") > 0 && takes_room(x.instances().at("great.0")))
        placed = second;
    }
    // Five minutes, and then as long as those run that were on its nodes; a gang of two has one node after the other.
    REQUIRE(placed >= 0);
    REQUIRE(placed <= 300 + 25);
  }
}

SCENARIO("the important one waits until others made room, and they have another place") {
  auto x = desk{3};
  // n0 has 2000 and n1 3000 and n2 4000.
  REQUIRE(x.follow(submit(x, service("low", 1, 1000), 1)));
  const auto home = x.instances().at("low.0").node();
  auto great = service("great", 1, desk::cpu_of(home));
  great.mutable_placement()->mutable_require()->insert({"node", home});
  SUBCASE("of a higher priority") {
    great.set_priority(1);
    REQUIRE(x.follow(submit(x, great, 2)));
    CHECK(x.instances().at("great.0").node() == home);
    CHECK(x.instances().at("low.0").node() != home);
    CHECK(x.instances().at("low.0").next().node().empty());
  }
  SUBCASE("also where that is below zero") {
    auto lower = service("low", 1, 1000);
    lower.set_priority(-1);
    REQUIRE(x.follow(submit(x, lower, 2)));
    REQUIRE(x.instances().at("low.0").node() == home);
    REQUIRE(x.follow(submit(x, great, 3)));
    CHECK(x.instances().at("great.0").node() == home);
  }
  SUBCASE("but not where it may not") {
    great.set_priority(1);
    great.set_preempts(wire::PREEMPTS_NEVER);
    REQUIRE(x.follow(submit(x, great, 2)));
    CHECK(x.instances().count("great.0") == 0);
    CHECK(x.instances().at("low.0").node() == home);
  }
  SUBCASE("and not of the same priority") {
    REQUIRE(x.follow(submit(x, great, 2)));
    CHECK(x.instances().count("great.0") == 0);
  }
}

SCENARIO("room is made for several at the same time, and nobody else takes it") {
  auto x = desk{6};
  const auto homes = std::vector<std::string>{"n1", "n2"};
  for (const auto& home : homes) {
    auto low = service("low-" + home, 1, 1000);
    low.mutable_placement()->mutable_prefer()->insert({"node", home});
    REQUIRE(x.follow(submit(x, low, 1)));
    REQUIRE(x.instances().at("low-" + home + ".0").node() == home);
  }
  auto at_once = 0;
  x.look = [&] {
    auto moving = 0;
    for (const auto& [name, each] : x.instances())
      moving += each.outcome() == wire::PHASE_STOPPING && each.reason().starts_with("makes room for");
    at_once = std::max(at_once, moving);
  };
  auto all = order{};
  const auto add = [&](wire::WorkloadSpec spec, const std::string& home) {
    spec.mutable_placement()->mutable_require()->insert({"node", home});
    for (const auto& op : submit(x, spec, 2).ops)
      all.ops.push_back(op);
  };
  for (const auto& home : homes) {
    auto great = service("great-" + home, 1, desk::cpu_of(home));
    great.set_priority(1);
    add(great, home);
    // All that becomes free for the great one would do for it.
    add(service("thief-" + home, 1, 1000), home);
  }
  REQUIRE(x.follow(all));
  CHECK(at_once == 2);
  for (const auto& home : homes) {
    CHECK(x.instances().at("great-" + home + ".0").node() == home);
    CHECK(x.instances().at("low-" + home + ".0").node() != home);
    CHECK(x.instances().count("thief-" + home + ".0") == 0);
  }
}

SCENARIO("who does not wait for its room any more has none") {
  auto x = desk{6};
  auto low = service("low", 1, 1000);
  low.mutable_placement()->mutable_prefer()->insert({"node", "n1"});
  REQUIRE(x.follow(submit(x, low, 1)));
  x.silent = {"n1"};
  auto great = service("great", 1, desk::cpu_of("n1"));
  great.set_priority(1);
  great.mutable_placement()->mutable_require()->insert({"node", "n1"});
  REQUIRE(x.follow(submit(x, great, 2)));
  auto other = service("other", 1, 1000);
  other.mutable_placement()->mutable_require()->insert({"node", "n1"});
  REQUIRE(x.follow(submit(x, other, 3)));
  // The low one is on its way out, and there is room beside it.
  REQUIRE(x.instances().at("low.0").outcome() == wire::PHASE_STOPPING);
  CHECK(x.instances().count("other.0") == 0);
  auto stop = wire::StopWorkload{};
  stop.set_name("great");
  stop.set_forget(true);
  REQUIRE(x.follow(order_stop(x.facts(), stop)));
  REQUIRE(x.instances().count("other.0") == 1);
  CHECK(x.instances().at("other.0").node() == "n1");
}

SCENARIO("a quota holds, and who waits for it goes on as soon as it is raised") {
  auto x = desk{3};
  REQUIRE(x.follow(quota_of(x.facts(), "a", 1000)));
  auto spec = service("web", 3, 500);
  spec.set_tenant("a");
  REQUIRE(x.follow(submit(x, spec, 1)));
  CHECK(x.instances().size() == 2);
  const auto view = x.book().list_workloads("web").workloads(0);
  CHECK(view.reason() == "tenant a has 1000 of 1000 cpu already");
  CHECK(x.book().list_quotas().quotas(0).used().at("cpu") == 1000);
  REQUIRE(x.follow(quota_of(x.facts(), "a", 1500)));
  CHECK(x.instances().size() == 3);
  CHECK(x.book().list_quotas().quotas(0).used().at("cpu") == 1500);
  spec.mutable_resources()->set_cpu_milli(400);
  REQUIRE(x.follow(submit(x, spec, 2)));
  CHECK(x.book().list_quotas().quotas(0).used().at("cpu") == 1200);
}

SCENARIO("a taint that evicts moves off what does not tolerate it, and one that refuses lets nothing new in") {
  auto x = desk{2};
  auto tolerant = service("tolerant", 1, 500);
  auto& all = *tolerant.mutable_placement();
  all.add_tolerate()->set_key("repair");
  (*all.mutable_require())["node"] = "n0";
  REQUIRE(x.follow(submit(x, tolerant, 1)));
  auto other = service("other", 1, 500);
  (*other.mutable_placement()->mutable_prefer())["node"] = "n0";
  REQUIRE(x.follow(submit(x, other, 2)));
  REQUIRE(x.instances().at("other.0").node() == "n0");
  auto taint = wire::TaintNode{};
  taint.set_node("n0");
  taint.mutable_taint()->set_key("repair");
  taint.mutable_taint()->set_effect("evict");
  REQUIRE(x.follow(order_taint(x.facts(), taint)));
  CHECK(x.instances().at("other.0").node() == "n1");
  CHECK(x.instances().at("tolerant.0").node() == "n0");
  auto late = service("late", 1, 500);
  (*late.mutable_placement()->mutable_require())["node"] = "n0";
  REQUIRE(x.follow(submit(x, late, 3)));
  CHECK(x.instances().count("late.0") == 0);
  taint.set_removed(true);
  REQUIRE(x.follow(order_taint(x.facts(), taint)));
  CHECK(x.instances().count("late.0") == 1);
}

SCENARIO("what was placed under another policy is moved when that is asked for, and by itself when it is time") {
  auto x = desk{2};
  const auto order_of = [&](const std::string& policy) {
    auto set = wire::SetPolicy{};
    set.mutable_policy()->set_name(policy);
    return order_policy(x.facts(), set);
  };
  REQUIRE(x.follow(order_of("pack")));
  for (const auto* name : {"a", "b"})
    REQUIRE(x.follow(submit(x, service(name, 1, 900), 1)));
  REQUIRE(x.instances().at("a.0").node() == x.instances().at("b.0").node());
  CHECK(x.book().list_policies().settings().policy() == "pack");
  REQUIRE(x.follow(order_of("balance")));
  auto moves = wire::Rebalance{};
  SUBCASE("a dry run moves nothing") {
    moves.set_dry_run(true);
    CHECK(x.book().rebalance(moves).steps_size() == 1);
    x.settle();
    CHECK(x.instances().at("a.0").node() == x.instances().at("b.0").node());
  }
  SUBCASE("when asked") {
    CHECK(x.book().rebalance(moves).steps_size() == 1);
    x.settle();
    CHECK(x.instances().at("a.0").node() != x.instances().at("b.0").node());
  }
  SUBCASE("by itself") {
    moves.set_every_ms(60'000);
    REQUIRE(x.follow(order_rebalance(x.facts(), moves)));
    x.pass(59);
    CHECK(x.instances().at("a.0").node() == x.instances().at("b.0").node());
    x.pass(2);
    CHECK(x.instances().at("a.0").node() != x.instances().at("b.0").node());
  }
}

SCENARIO("a poisoned policy in the ledger is not used: balance takes its place and says so") {
  auto x = desk{2};
  // It got there by no order: a program that knows no trial wrote it.
  auto poisoned = order{};
  auto policy = wire::Policy{};
  policy.set_name("learned-1");
  policy.mutable_training()->set_history("x");
  (*policy.mutable_weights())["room"] = -1;
  auto& op = poisoned.ops.emplace_back();
  op.set_key("policy/learned-1");
  op.set_value(policy.SerializeAsString());
  REQUIRE(x.follow(poisoned));
  auto set = wire::SetPolicy{};
  set.mutable_policy()->set_name("learned-1");
  REQUIRE(x.follow(order_policy(x.facts(), set)));
  for (const auto* name : {"a", "b"})
    REQUIRE(x.follow(submit(x, service(name, 1, 900), 1)));
  CHECK(x.instances().at("a.0").node() != x.instances().at("b.0").node());
  const auto policies = x.book().list_policies().policies();
  REQUIRE(policies.rbegin()->name() == "learned-1");
  CHECK(policies.rbegin()->fallback() == "it does not say what it was learned from and judged on");
}

SCENARIO("an order that expects another revision changes nothing") {
  auto x = desk{1};
  auto spec = service("web", 1, 500);
  CHECK(submit(x, spec, 1, 7).refused == fault::conflict);
  REQUIRE(x.follow(submit(x, spec, 1, 0)));
  CHECK(submit(x, spec, 1, 0).refused == fault::conflict);
  const auto revision = static_cast<std::int64_t>(x.facts().revision_of("workload/web"));
  CHECK(x.book().list_workloads("web").workloads(0).revision() == static_cast<std::uint64_t>(revision));
  spec.set_replicas(2);
  CHECK(submit(x, spec, 1, revision - 1).refused == fault::conflict);
  CHECK_FALSE(submit(x, spec, 1, revision).refused);
  auto stop = wire::StopWorkload{};
  stop.set_name("web");
  stop.set_revision(static_cast<std::uint64_t>(revision + 1));
  CHECK(order_stop(x.facts(), stop).refused == fault::conflict);
  stop.set_revision(static_cast<std::uint64_t>(revision));
  CHECK_FALSE(order_stop(x.facts(), stop).refused);
}
