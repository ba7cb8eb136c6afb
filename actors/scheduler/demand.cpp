#include "actors/scheduler/demand.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace novacron::scheduler {
namespace {

namespace wire = novacron::v1;

/// Chosen: sums of this many of anything on one node still fit 63 bits.
constexpr auto amount_max = std::uint64_t{1} << 50;
constexpr auto replicas_max = 10000u;
constexpr auto list_max = 256;
/// Chosen: the names of so many nodes still fit a record.
constexpr auto reserved_max = 1000u;
/// A gang is written in one command, and that in one message of 1 MiB.
constexpr auto gang_max = 4000u;
constexpr auto text_max = std::size_t{64} * 1024;
/// Chosen: less would end instances because one answer was late.
constexpr auto stop_after_ms_min = std::uint64_t{1000};
/// Of a function. Chosen: each call that an instance can take at a time costs it two processes, each that waits up to
/// half a megabyte, and 10 are as many instances as a first burst should start unasked. Required of the time: with half
/// a minute of waiting it is below the two minutes after which the link between two nodes gives a request up.
constexpr auto lanes_max = 32u;
constexpr auto calls_waiting_max = 1000u;
constexpr auto call_ms_max = std::uint64_t{60'000};
constexpr auto instances_usual = 10u;
/// Chosen: a year; sums of a few of them in nanoseconds still fit 63 bits.
constexpr auto time_ms_max = std::uint64_t{366} * 24 * 3600 * 1000;

std::int64_t bounded(std::uint64_t x) { return static_cast<std::int64_t>(std::min(x, amount_max)); }

template <class Map>
std::map<std::string, std::string> copy(const Map& x) {
  return {x.begin(), x.end()};
}

std::string wrong_resources(const wire::Resources& x) {
  if (x.cpu_milli() > amount_max || x.memory_bytes() > amount_max || x.disk_bytes() > amount_max ||
      x.gpu_milli() > amount_max)
    return "resources are larger than any node";
  for (const auto& [name, count] : x.extra())
    if (count > amount_max)
      return "resource " + name + " is larger than any node has";
  if (x.gpu_milli() > 1000 && x.gpu_milli() % 1000 != 0)
    return fmt::format("gpu is {} thousandths; above one device only whole devices can be asked for", x.gpu_milli());
  return {};
}

std::string wrong_policy(const std::string& policy, std::vector<std::string> known) {
  if (policy.empty() || policy_weights(policy) || std::ranges::find(known, policy) != known.end())
    return {};
  const auto own = policy_names();
  known.insert(known.end(), own.begin(), own.end());
  std::ranges::sort(known);
  return fmt::format("there is no placement policy called {}; there are {}", policy, fmt::join(known, ", "));
}

std::optional<label_rule::relation> to_relation(const std::string& word) {
  using enum label_rule::relation;
  for (const auto each : {in, not_in, exists, absent, above, below})
    if (to_string(each) == word)
      return each;
  return std::nullopt;
}

std::string wrong_rule(const wire::LabelRule& x) {
  if (x.key().empty())
    return "a rule over labels needs a key such as zone";
  const auto relation = to_relation(x.relation());
  if (!relation)
    return "a rule over labels says " + x.relation() + "; it can be in, not_in, exists, absent, above or below";
  using enum label_rule::relation;
  const auto wants = *relation == in || *relation == not_in ? 1 : *relation == above || *relation == below ? 2 : 0;
  if (wants == 0 && x.values_size() > 0)
    return "a rule over labels that says " + x.relation() + " takes no values";
  if (wants == 1 && x.values_size() == 0)
    return "a rule over labels that says " + x.relation() + " needs values";
  if (wants == 2 && x.values_size() != 1)
    return "a rule over labels that says " + x.relation() + " needs one number";
  return x.values_size() > list_max ? "a rule over labels has too many values" : "";
}

template <class Names, class Rules>
std::vector<neighbour> neighbours(const Names& names, const Rules& rules) {
  auto all = std::vector<neighbour>{names.begin(), names.end()};
  for (const auto& x : rules)
    all.emplace_back(x.who(), x.over().empty() ? "node" : x.over(), x.prefer());
  return all;
}

bool is_label(const std::string& text) {
  return text.find('=') != text.npos && text.front() != '=';
}

std::vector<std::string> labels_of(const wire::WorkloadSpec& spec) {
  auto all = std::vector<std::string>{};
  for (const auto& [key, value] : spec.labels())
    all.push_back(key + "=" + value);
  std::ranges::sort(all);
  return all;
}

std::string wrong_placement(const wire::WorkloadSpec& spec) {
  const auto& x = spec.placement();
  if (x.near_size() > list_max || x.apart_size() > list_max || x.spread_size() > list_max || x.where_size() > list_max ||
      x.tolerate_size() > list_max || x.near_to_size() > list_max || x.apart_from_size() > list_max)
    return "placement names too many rules";
  for (const auto& rule : x.where())
    if (auto wrong = wrong_rule(rule); !wrong.empty())
      return wrong;
  for (const auto& each : x.tolerate())
    if (!to_effect(each.effect()))
      return "a toleration has the effect " + each.effect() + "; it can be refuse, avoid or evict";
  const auto members = spec.kind() == wire::WORKLOAD_KIND_BATCH ? spec.batch().completions() : spec.replicas();
  if (x.gang() && members > gang_max)
    return fmt::format("a gang has {} members, at most {}", members, gang_max);
  for (const auto& rule : x.spread())
    if (rule.key().empty())
      return "a spread rule needs a key such as zone";
  if (!x.reservation().empty() && !is_name(x.reservation()))
    return "\"" + x.reservation().substr(0, 80) + "\" is not the name of a reservation";
  const auto near = neighbours(x.near(), x.near_to());
  const auto apart = neighbours(x.apart(), x.apart_from());
  for (const auto* all : {&near, &apart})
    for (const auto& each : *all)
      if (!is_name(each.who) && !is_label(each.who))
        return "\"" + each.who.substr(0, 80) + "\" is neither the name of a workload nor a label KEY=VALUE";
  for (const auto& each : near)
    if (!each.prefer && std::ranges::find(apart, each) != apart.end())
      return "placement wants to be both near and apart from " + each.who;
  return {};
}

std::string wrong_batch(const wire::WorkloadSpec& spec) {
  if (spec.kind() != wire::WORKLOAD_KIND_BATCH)
    return spec.has_batch() ? "batch rules need kind batch" : "";
  if (spec.replicas() > 1)
    return "a batch workload has completions and parallelism instead of replicas";
  if (spec.restart().when() == wire::RESTART_WHEN_ALWAYS)
    return "a batch workload ends; restart=always never would";
  if (spec.has_health())
    return "a batch workload has no health check";
  if (spec.batch().completions() > replicas_max)
    return fmt::format("completions is {}, at most {}", spec.batch().completions(), replicas_max);
  return {};
}

std::string wrong_function(const wire::WorkloadSpec& spec) {
  const auto& x = spec.function();
  if (spec.kind() != wire::WORKLOAD_KIND_FUNCTION)
    return spec.has_function() ? "function rules need kind function" : "";
  if (!x.handler().empty() && x.handler() != "each" && x.handler() != "stream")
    return "function.handler is " + x.handler() + "; it can be each or stream";
  if (x.concurrency() > lanes_max)
    return fmt::format("function.concurrency is {}, at most {}", x.concurrency(), lanes_max);
  if (x.instances_max() > replicas_max)
    return fmt::format("function.instances_max is {}, at most {}", x.instances_max(), replicas_max);
  if (x.instances_min() > (x.instances_max() > 0 ? x.instances_max() : instances_usual))
    return "function.instances_min is above function.instances_max";
  if (x.waiting_max() > calls_waiting_max)
    return fmt::format("function.waiting_max is {}, at most {}", x.waiting_max(), calls_waiting_max);
  if (x.timeout_ms() > call_ms_max)
    return "function.timeout is longer than a minute";
  if (spec.placement().gang())
    return "the instances of a function come and go one by one; they are no gang";
  if (spec.has_health())
    return "a function has no health check: its calls tell how it is";
  return {};
}

std::string wrong_health(const wire::HealthCheck& x) {
  if (x.command_size() > 0 && (x.port() != 0 || !x.http_path().empty()))
    return "a health check is a command, an HTTP path with a port, or a port; not several";
  if (!x.http_path().empty() && x.port() == 0)
    return "a health check by HTTP needs a port";
  if (x.command_size() == 0 && x.port() == 0)
    return "a health check needs a command or a port";
  if (x.port() > 65535)
    return "the port of the health check is above 65535";
  return {};
}

std::string wrong_network(const wire::NetworkRules& x) {
  if (!x.mode().empty() && x.mode() != "bridge" && x.mode() != "host" && x.mode() != "none")
    return "network mode is " + x.mode() + "; it can be bridge, host or none";
  if (x.mode() == "none" && x.ports_size() > 0)
    return "ports need a network";
  for (const auto& port : x.ports())
    if (port.host() > 65535 || port.inside() > 65535 || port.inside() == 0)
      return "a port is outside 1 to 65535";
  return {};
}

std::string wrong_times(const wire::WorkloadSpec& spec) {
  const auto& health = spec.health();
  for (const auto& [what, ms] : {std::pair{"on_disconnect", spec.on_disconnect().after_ms()},
                                 {"stop_grace", spec.stop_grace_ms()},
                                 {"restart.delay", spec.restart().delay_ms()},
                                 {"restart.delay_max", spec.restart().delay_max_ms()},
                                 {"health.interval", health.interval_ms()},
                                 {"health.timeout", health.timeout_ms()},
                                 {"health.grace", health.grace_ms()},
                                 {"batch.deadline", spec.batch().deadline_ms()},
                                 {"function.keep_alive", spec.function().keep_alive_ms()}})
    if (ms > time_ms_max)
      return std::string{what} + " is longer than a year";
  return {};
}

} // namespace

std::string what_is_wrong(const wire::Reservation& x) {
  if (!is_name(x.name()))
    return "the reservation's name is not made of at most 63 small letters, digits and inner hyphens";
  if (!x.tenant().empty() && !is_name(x.tenant()))
    return "the tenant's name is not made of at most 63 small letters, digits and inner hyphens";
  if (auto wrong = wrong_resources(x.resources()); !wrong.empty())
    return wrong;
  const auto& each = x.resources();
  if (each.cpu_milli() + each.memory_bytes() + each.disk_bytes() + each.gpu_milli() == 0 && each.extra_size() == 0)
    return "a reservation without cpu, memory, disk or gpu keeps nothing";
  if (x.places() > reserved_max)
    return fmt::format("a reservation has {} places, at most {}", x.places(), reserved_max);
  if (x.require_size() > list_max || x.ByteSizeLong() > text_max)
    return "the reservation takes too long to say";
  if (x.until_ms() != 0 && x.until_ms() <= x.from_ms())
    return "the reservation ends before it begins";
  return {};
}

amount to_amount(const wire::Resources& x) {
  auto result = amount{bounded(x.cpu_milli()), bounded(x.memory_bytes()), bounded(x.disk_bytes()),
                       bounded(x.gpu_milli()), x.gpu_model(), {}};
  for (const auto& [name, count] : x.extra())
    result.extra[name] = bounded(count);
  return result;
}

wire::Resources to_resources(const amount& x) {
  const auto positive = [](std::int64_t n) { return static_cast<std::uint64_t>(std::max<std::int64_t>(n, 0)); };
  auto result = wire::Resources{};
  result.set_cpu_milli(positive(x.cpu_milli));
  result.set_memory_bytes(positive(x.memory_bytes));
  result.set_disk_bytes(positive(x.disk_bytes));
  result.set_gpu_milli(positive(x.gpu_milli));
  result.set_gpu_model(x.gpu_model);
  for (const auto& [name, count] : x.extra)
    (*result.mutable_extra())[name] = positive(count);
  return result;
}

std::optional<taint_effect> to_effect(std::string_view word) {
  for (const auto each : {taint_effect::refuse, taint_effect::avoid, taint_effect::evict})
    if (word == to_string(each))
      return each;
  return word.empty() ? std::optional{taint_effect::refuse} : std::nullopt;
}

std::vector<taint> to_taints(const wire::NodeRecord& record) {
  auto all = std::vector<taint>{};
  for (const auto& x : record.taints())
    all.push_back({x.key(), x.value(), to_effect(x.effect()).value_or(taint_effect::refuse)});
  return all;
}

node_shape to_shape(const wire::NodeFacts& facts, node_state state) {
  auto shape = node_shape{facts.name(), copy(facts.labels()), to_amount(facts.capacity()),
                          {facts.kinds().begin(), facts.kinds().end()}, facts.hosts_workloads(), state};
  shape.labels["role"] = facts.role();
  if (!facts.zone().empty())
    shape.labels["zone"] = facts.zone();
  if (!facts.region().empty())
    shape.labels["region"] = facts.region();
  return shape;
}

request to_request(const wire::WorkloadSpec& spec) {
  const auto& rules = spec.placement();
  auto x = request{};
  x.workload = spec.name();
  x.kind = kind_name(spec.kind());
  x.image = spec.program().image();
  x.need = to_amount(spec.resources());
  x.require = copy(rules.require());
  x.prefer = copy(rules.prefer());
  x.near = neighbours(rules.near(), rules.near_to());
  x.apart = neighbours(rules.apart(), rules.apart_from());
  x.labels = labels_of(spec);
  for (const auto& rule : rules.spread())
    x.spread.push_back({rule.key(), rule.max_skew(), rule.prefer()});
  for (const auto& rule : rules.where())
    x.where.push_back({rule.key(), to_relation(rule.relation()).value_or(label_rule::relation::exists),
                       {rule.values().begin(), rule.values().end()}});
  for (const auto& each : rules.tolerate())
    x.tolerate.push_back({each.key(), each.value(), each.effect()});
  x.claims = to_hold(spec, "", {}).claims;
  x.policy = rules.policy();
  x.tenant = spec.tenant();
  x.reservation = rules.reservation();
  return x;
}

hold to_hold(const wire::WorkloadSpec& spec, const std::string& node, std::vector<std::uint32_t> gpus) {
  auto x = hold{node, spec.name(), to_amount(spec.resources()), std::move(gpus), {}, {}};
  x.apart = neighbours(spec.placement().apart(), spec.placement().apart_from());
  x.labels = labels_of(spec);
  x.priority = spec.priority();
  if (spec.network().mode() != "none")
    for (const auto& port : spec.network().ports())
      if (const auto number = spec.network().mode() == "host" ? port.inside() : port.host(); number != 0)
        x.claims.push_back("port/" + std::to_string(number));
  return x;
}

std::string kind_name(wire::WorkloadKind kind) {
  switch (kind) {
    case wire::WORKLOAD_KIND_SANDBOX: return "sandbox";
    case wire::WORKLOAD_KIND_VM: return "vm";
    case wire::WORKLOAD_KIND_FUNCTION: return "function";
    case wire::WORKLOAD_KIND_BATCH: return "batch";
    default: return "container";
  }
}

std::string phase_name(wire::Phase phase) {
  auto name = wire::Phase_Name(phase);
  name.erase(0, std::string_view{"PHASE_"}.size());
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return name;
}

wire::FunctionRules with_defaults(wire::FunctionRules rules) {
  if (rules.handler().empty())
    rules.set_handler("each");
  if (rules.concurrency() == 0)
    rules.set_concurrency(1);
  if (rules.instances_max() == 0)
    rules.set_instances_max(instances_usual);
  if (rules.waiting_max() == 0)
    rules.set_waiting_max(100);
  if (rules.timeout_ms() == 0)
    rules.set_timeout_ms(30'000);
  if (rules.keep_alive_ms() == 0)
    rules.set_keep_alive_ms(60'000);
  return rules;
}

std::uint32_t within(const wire::FunctionRules& rules, std::uint32_t instances) {
  return std::clamp(instances, rules.instances_min(), std::max(rules.instances_min(), rules.instances_max()));
}

wire::WorkloadSpec with_defaults(wire::WorkloadSpec spec) {
  if (spec.kind() == wire::WORKLOAD_KIND_UNSPECIFIED)
    spec.set_kind(wire::WORKLOAD_KIND_CONTAINER);
  if (spec.kind() == wire::WORKLOAD_KIND_BATCH) {
    auto& batch = *spec.mutable_batch();
    if (batch.completions() == 0)
      batch.set_completions(1);
    if (batch.parallelism() == 0)
      batch.set_parallelism(batch.completions());
    spec.set_replicas(0);
  } else if (spec.kind() == wire::WORKLOAD_KIND_FUNCTION) {
    *spec.mutable_function() = with_defaults(spec.function());
    spec.set_replicas(spec.function().instances_min());
  } else if (spec.replicas() == 0) {
    spec.set_replicas(1);
  }
  if (spec.restart().when() == wire::RESTART_WHEN_UNSPECIFIED)
    spec.mutable_restart()->set_when(spec.kind() == wire::WORKLOAD_KIND_BATCH ? wire::RESTART_WHEN_NEVER
                                                                              : wire::RESTART_WHEN_ALWAYS);
  if (spec.on_disconnect().action() == wire::ON_DISCONNECT_UNSPECIFIED)
    // Nobody misses an instance of a function that another takes the calls of.
    spec.mutable_on_disconnect()->set_action(spec.kind() == wire::WORKLOAD_KIND_FUNCTION ? wire::ON_DISCONNECT_REPLACE
                                                                                         : wire::ON_DISCONNECT_KEEP);
  // Written down, because the node and the scheduler must count with the same grace.
  if (spec.stop_grace_ms() == 0)
    spec.set_stop_grace_ms(10'000);
  for (auto& rule : *spec.mutable_placement()->mutable_spread())
    if (rule.max_skew() == 0)
      rule.set_max_skew(1);
  return spec;
}

features to_features(const wire::Policy& x) {
  auto weights = features{};
  for (auto i = std::size_t{0}; i < feature_count; ++i)
    if (const auto found = x.weights().find(std::string{to_string(static_cast<feature>(i))}); found != x.weights().end())
      weights[i] = static_cast<float>(found->second);
  return weights;
}

wire::Policy to_policy(const std::string& name, const features& weights) {
  auto x = wire::Policy{};
  x.set_name(name);
  for (auto i = std::size_t{0}; i < feature_count; ++i)
    // Through text, or 0.3 would be 0.30000001192092896.
    (*x.mutable_weights())[std::string{to_string(static_cast<feature>(i))}] = std::stod(fmt::format("{}", weights[i]));
  return x;
}

std::string wrong_weights(const wire::Policy& x) {
  auto known = std::vector<std::string>{};
  for (auto i = std::size_t{0}; i < feature_count; ++i)
    known.emplace_back(to_string(static_cast<feature>(i)));
  for (const auto& [name, weight] : x.weights()) {
    if (std::ranges::find(known, name) == known.end())
      return fmt::format("there is no feature called {}; there are {}", name, fmt::join(known, ", "));
    if (!(weight >= -1000 && weight <= 1000))
      return fmt::format("the weight of {} is not between -1000 and 1000", name);
  }
  return {};
}

bool is_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 63 && plain(name.front()) && plain(name.back()) &&
         std::ranges::all_of(name, [&](char c) { return plain(c) || c == '-'; });
}

std::string what_is_wrong(const wire::WorkloadSpec& spec, const std::vector<std::string>& policies) {
  if (!is_name(spec.name()))
    return "the name \"" + spec.name().substr(0, 80) +
           "\" is not made of at most 63 small letters, digits and inner hyphens";
  if (spec.ByteSizeLong() > text_max)
    return fmt::format("the workload takes {} bytes to say, at most {}", spec.ByteSizeLong(), text_max);
  if (!wire::WorkloadKind_IsValid(spec.kind()))
    return "there is no such kind of workload";
  if (!wire::Preempts_IsValid(spec.preempts()))
    return "there is no such way to preempt";
  if (!spec.tenant().empty() && !is_name(spec.tenant()))
    return "the tenant's name is not made of at most 63 small letters, digits and inner hyphens";
  if (spec.program().image().empty())
    return "program.image is missing";
  if (spec.replicas() > replicas_max)
    return fmt::format("replicas is {}, at most {}", spec.replicas(), replicas_max);
  if (!spec.checkpoint().empty() && spec.kind() != wire::WORKLOAD_KIND_SANDBOX && spec.kind() != wire::WORKLOAD_KIND_VM)
    return "only sandboxes and virtual machines can begin from a checkpoint";
  if (spec.on_disconnect().after_ms() != 0 && spec.on_disconnect().action() != wire::ON_DISCONNECT_STOP_AFTER)
    return "on_disconnect has a time, but only stop_after takes one";
  if (spec.on_disconnect().action() == wire::ON_DISCONNECT_STOP_AFTER && spec.on_disconnect().after_ms() < stop_after_ms_min)
    return "on_disconnect stop_after needs a time of at least 1s";
  if (spec.restart().delay_max_ms() != 0 && spec.restart().delay_ms() > spec.restart().delay_max_ms())
    return "restart.delay is longer than restart.delay_max";
  for (auto wrong : {wrong_times(spec), wrong_resources(spec.resources()), wrong_placement(spec),
                     wrong_policy(spec.placement().policy(), policies), wrong_batch(spec), wrong_function(spec),
                     wrong_network(spec.network()), spec.has_health() ? wrong_health(spec.health()) : std::string{}})
    if (!wrong.empty())
      return wrong;
  return {};
}

} // namespace novacron::scheduler
