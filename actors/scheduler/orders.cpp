#include "actors/scheduler/orders.hpp"

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/trial.hpp"

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace novacron::scheduler {

order refuse(fault kind, std::string reason) {
  auto x = order{};
  x.refused = kind;
  x.reason = std::move(reason);
  return x;
}

void put(order& x, const truth& now, const std::string& key, const google::protobuf::MessageLite& value) {
  auto& op = x.ops.emplace_back();
  op.set_key(key);
  op.set_value(value.SerializeAsString());
  op.set_conditional(true);
  op.set_revision(now.revision_of(key));
}

namespace {

using google::protobuf::util::MessageDifferencer;

void remove(order& x, const truth& now, const std::string& key) {
  auto& op = x.ops.emplace_back();
  op.set_key(key);
  op.set_remove(true);
  op.set_conditional(true);
  op.set_revision(now.revision_of(key));
}

std::vector<std::string> policies_of(const truth& now) {
  auto names = std::vector<std::string>{};
  for (const auto& [name, x] : now.policies)
    names.push_back(name);
  return names;
}

/// What speaks against an order that is only meant for one revision of the workload; empty when nothing does.
std::string not_as_expected(const truth& now, const std::string& workload, bool expects, std::uint64_t revision) {
  const auto is = now.revision_of("workload/" + workload);
  if (!expects || revision == is)
    return {};
  if (is == 0)
    return "there is no workload called " + workload;
  return revision == 0 ? "there is a workload called " + workload + " already"
                       : workload + " is at revision " + std::to_string(is) + ", not " + std::to_string(revision);
}

} // namespace

order order_submit(const truth& now, const wire::Submit& asked, std::int64_t now_ms) {
  const auto& spec = asked.spec();
  if (auto wrong = what_is_wrong(spec, policies_of(now)); !wrong.empty())
    return refuse(fault::bad_request, std::move(wrong));
  if (auto wrong = not_as_expected(now, spec.name(), asked.has_revision(), asked.revision()); !wrong.empty())
    return refuse(fault::conflict, std::move(wrong));
  auto wanted = with_defaults(spec);
  const auto* known = now.find_workload(spec.name());
  // Its calls decide how many there are, not who submits it again.
  if (known && wanted.kind() == wire::WORKLOAD_KIND_FUNCTION)
    wanted.set_replicas(within(wanted.function(), known->spec().replicas()));
  auto x = order{};
  auto record = known ? *known : wire::WorkloadRecord{};
  x.generation = record.generation();
  const auto same = known && MessageDifferencer::Equals(known->spec(), wanted);
  if (same && !known->stopped())
    return x;
  x.effect = known ? "changed" : "created";
  if (!known)
    record.set_created_ms(now_ms);
  if (known && !same) {
    auto former = wire::LedgerOp{};
    former.set_key("generation/" + generation_key(spec.name(), known->generation()));
    former.set_value(known->spec().SerializeAsString());
    x.ops.push_back(std::move(former));
  }
  if (!same)
    record.set_generation(record.generation() + 1);
  *record.mutable_spec() = wanted;
  record.clear_stopped();
  record.clear_forgotten();
  record.clear_outcome();
  record.clear_outcome_reason();
  record.set_deadline_at_ms(wanted.batch().deadline_ms() > 0
                              ? now_ms + static_cast<std::int64_t>(wanted.batch().deadline_ms())
                              : 0);
  x.generation = record.generation();
  put(x, now, "workload/" + spec.name(), record);
  return x;
}

order order_stop(const truth& now, const wire::StopWorkload& stop) {
  const auto* known = now.find_workload(stop.name());
  if (!known)
    return refuse(fault::not_found, "there is no workload called " + stop.name());
  auto x = order{};
  if (known->stopped() && (known->forgotten() || !stop.forget()))
    return x;
  if (auto wrong = not_as_expected(now, stop.name(), stop.has_revision(), stop.revision()); !wrong.empty())
    return refuse(fault::conflict, std::move(wrong));
  auto record = *known;
  record.set_stopped(true);
  record.set_forgotten(known->forgotten() || stop.forget());
  x.effect = "changed";
  put(x, now, "workload/" + stop.name(), record);
  return x;
}

order order_scale(const truth& now, const wire::ScaleFunction& asked) {
  const auto* known = now.find_workload(asked.name());
  if (!known)
    return refuse(fault::not_found, "there is no function called " + asked.name());
  if (known->spec().kind() != wire::WORKLOAD_KIND_FUNCTION)
    return refuse(fault::bad_request, asked.name() + " is no function");
  if (known->stopped())
    return refuse(fault::conflict, asked.name() + " is stopped");
  auto x = order{};
  auto record = *known;
  record.mutable_spec()->set_replicas(within(known->spec().function(), asked.instances()));
  if (record.spec().replicas() == known->spec().replicas())
    return x;
  x.effect = "changed";
  put(x, now, "workload/" + asked.name(), record);
  return x;
}

order order_drain(const truth& now, const wire::DrainNode& drain, std::int64_t now_ms) {
  const auto known = now.nodes.find(drain.node());
  if (known == now.nodes.end())
    return refuse(fault::not_found, "there is no node called " + drain.node());
  auto x = order{};
  if (known->second.value.drained() == drain.drained())
    return x;
  auto record = known->second.value;
  record.set_drained(drain.drained());
  record.set_drained_ms(drain.drained() ? now_ms : 0);
  x.effect = "changed";
  put(x, now, "node/" + drain.node(), record);
  return x;
}

order order_taint(const truth& now, const wire::TaintNode& taint) {
  const auto known = now.nodes.find(taint.node());
  if (known == now.nodes.end())
    return refuse(fault::not_found, "there is no node called " + taint.node());
  if (taint.taint().key().empty())
    return refuse(fault::bad_request, "a taint needs a key");
  const auto effect = to_effect(taint.taint().effect());
  if (!effect)
    return refuse(fault::bad_request, "a taint has the effect " + taint.taint().effect() +
                                        "; it can be refuse, avoid or evict");
  auto record = known->second.value;
  auto& all = *record.mutable_taints();
  const auto found = std::ranges::find(all, taint.taint().key(), [](const auto& x) { return x.key(); });
  if (taint.removed()) {
    if (found == all.end())
      return {};
    all.erase(found);
  } else {
    auto& changed = found == all.end() ? *all.Add() : *found;
    changed = taint.taint();
    changed.set_effect(std::string{to_string(*effect)});
  }
  constexpr auto taints_max = 64;
  if (all.size() > taints_max)
    return refuse(fault::bad_request, "a node has at most 64 taints");
  auto x = order{};
  if (MessageDifferencer::Equals(record, known->second.value))
    return x;
  x.effect = "changed";
  put(x, now, "node/" + taint.node(), record);
  return x;
}

order order_quota(const truth& now, const wire::SetQuota& asked) {
  const auto& quota = asked.quota();
  if (!is_name(quota.tenant()))
    return refuse(fault::bad_request, "the tenant's name is not made of at most 63 small letters, digits and inner hyphens");
  const auto known = now.quotas.find(quota.tenant());
  auto x = order{};
  x.effect = "changed";
  const auto key = "quota/" + quota.tenant();
  if (asked.removed()) {
    if (known == now.quotas.end())
      return refuse(fault::not_found, quota.tenant() + " has no quota");
    remove(x, now, key);
    return x;
  }
  constexpr auto limits_max = 64;
  if (quota.limits_size() > limits_max || !(quota.weight() >= 0 && quota.weight() <= 1e9))
    return refuse(fault::bad_request, "a quota has at most 64 limits and a weight from 0 to 1000000000");
  if (known != now.quotas.end() && MessageDifferencer::Equals(known->second.value, quota))
    return {};
  put(x, now, key, quota);
  return x;
}

order order_reservation(const truth& now, const wire::SetReservation& asked, std::int64_t now_ms) {
  auto wanted = asked.reservation();
  const auto known = now.reservations.find(wanted.name());
  const auto key = "reservation/" + wanted.name();
  auto x = order{};
  x.effect = "changed";
  if (asked.removed()) {
    if (known == now.reservations.end())
      return refuse(fault::not_found, "there is no reservation called " + wanted.name());
    remove(x, now, key);
    return x;
  }
  // Chosen: a year; and all of them are listed in one message.
  constexpr auto time_max = std::uint64_t{366} * 24 * 3600 * 1000;
  constexpr auto count_max = std::size_t{1000};
  if (asked.begins_in_ms() > time_max || asked.lasts_ms() > time_max)
    return refuse(fault::bad_request, "a reservation begins and ends within a year each");
  if (known == now.reservations.end() && now.reservations.size() >= count_max)
    return refuse(fault::bad_request, "there are 1000 reservations already");
  if (asked.begins_in_ms() > 0)
    wanted.set_from_ms(now_ms + static_cast<std::int64_t>(asked.begins_in_ms()));
  if (asked.lasts_ms() > 0)
    wanted.set_until_ms(std::max(now_ms, wanted.from_ms()) + static_cast<std::int64_t>(asked.lasts_ms()));
  wanted.set_places(std::max(1u, wanted.places()));
  wanted.clear_nodes();
  if (auto wrong = what_is_wrong(wanted); !wrong.empty())
    return refuse(fault::bad_request, std::move(wrong));
  if (wanted.until_ms() != 0 && wanted.until_ms() <= now_ms)
    return refuse(fault::bad_request, "the reservation would be over already");
  if (known != now.reservations.end()) {
    const auto& former = known->second.value;
    // What is kept already stays where it is, unless the places become others.
    const auto same = MessageDifferencer::Equals(former.resources(), wanted.resources()) &&
                      std::ranges::equal(std::map(former.require().begin(), former.require().end()),
                                         std::map(wanted.require().begin(), wanted.require().end()));
    if (same && wanted.from_ms() <= now_ms)
      for (auto i = 0; i < former.nodes_size() && i < static_cast<int>(wanted.places()); ++i)
        wanted.add_nodes(former.nodes(i));
    if (MessageDifferencer::Equals(former, wanted))
      return {};
  }
  put(x, now, key, wanted);
  return x;
}

namespace {

/// Chosen: former versions to go back to; the oldest goes when another one comes.
constexpr auto versions_max = std::size_t{8};

std::string version_of(const std::string& name, std::uint32_t version) {
  return fmt::format("{}-{}", name, version);
}

/// What was learned becomes the next version: NAME-1, NAME-2 and so on.
order order_learned(const truth& now, const wire::SetPolicy& asked) {
  const auto& name = asked.policy().name();
  if (!is_name(version_of(name, std::numeric_limits<std::uint32_t>::max())))
    return refuse(fault::bad_request,
                  "the name of a policy that is learned has at most 52 small letters, digits and inner hyphens");
  auto policy = asked.policy();
  auto versions = std::map<std::uint32_t, std::string>{};
  for (const auto& [key, known] : now.policies)
    if (known.value.version() > 0 && key == version_of(name, known.value.version()))
      versions.emplace(known.value.version(), key);
  auto next = versions.empty() ? 1 : versions.rbegin()->first + 1;
  // One that somebody wrote down by hand under such a name keeps it.
  while (now.policies.contains(version_of(name, next)))
    ++next;
  policy.set_name(version_of(name, next));
  policy.set_version(next);
  policy.clear_fallback();
  if (auto wrong = wrong_policy_record(policy); !wrong.empty())
    return refuse(fault::bad_request, fmt::format("the model is refused: {}", wrong));
  auto x = order{};
  x.effect = "changed";
  put(x, now, "policy/" + policy.name(), policy);
  for (const auto& [version, key] : versions) {
    if (versions.size() < versions_max)
      break;
    if (key == now.settings.value.policy())
      continue;
    remove(x, now, "policy/" + key);
    break;
  }
  if (!asked.only_define()) {
    auto settings = now.settings.value;
    settings.set_policy(policy.name());
    put(x, now, std::string{settings_key}, settings);
  }
  return x;
}

} // namespace

order order_policy(const truth& now, const wire::SetPolicy& asked) {
  if (asked.policy().has_training() && !asked.removed())
    return order_learned(now, asked);
  const auto& policy = asked.policy();
  if (!is_name(policy.name()))
    return refuse(fault::bad_request, "the policy's name is not made of at most 63 small letters, digits and inner hyphens");
  const auto key = "policy/" + policy.name();
  const auto known = now.policies.find(policy.name());
  const auto own = policy_weights(policy.name()).has_value();
  auto x = order{};
  x.effect = "changed";
  if (asked.removed()) {
    if (known == now.policies.end())
      return refuse(fault::not_found, "no policy called " + policy.name() + " was written down");
    if (now.settings.value.policy() == policy.name())
      return refuse(fault::conflict, policy.name() + " is the cluster's policy");
    remove(x, now, key);
    return x;
  }
  if (policy.weights_size() > 0) {
    if (own)
      return refuse(fault::conflict, policy.name() + " has weights of its own; take another name");
    if (auto wrong = wrong_weights(policy); !wrong.empty())
      return refuse(fault::bad_request, std::move(wrong));
    if (known == now.policies.end() || !MessageDifferencer::Equals(known->second.value, policy))
      put(x, now, key, policy);
  } else if (!own && known == now.policies.end()) {
    return refuse(fault::not_found, "there is no policy called " + policy.name());
  } else if (!own && !known->second.value.fallback().empty()) {
    // Whoever asks for it again gives it another chance.
    auto again = known->second.value;
    again.clear_fallback();
    put(x, now, key, again);
  }
  if (!asked.only_define() && now.settings.value.policy() != policy.name()) {
    auto settings = now.settings.value;
    settings.set_policy(policy.name());
    put(x, now, std::string{settings_key}, settings);
  }
  return x;
}

order order_rebalance(const truth& now, const wire::Rebalance& asked) {
  auto settings = now.settings.value;
  settings.set_rebalance_every_ms(asked.every_ms());
  settings.set_rebalance_moves(asked.max_moves());
  auto x = order{};
  if (MessageDifferencer::Equals(settings, now.settings.value))
    return x;
  constexpr auto often = std::uint64_t{1000};
  if (asked.every_ms() != 0 && (asked.every_ms() < often || asked.every_ms() > std::uint64_t{366} * 24 * 3600 * 1000))
    return refuse(fault::bad_request, "moves can be made by themselves once a second at most and once a year at least");
  x.effect = "changed";
  put(x, now, std::string{settings_key}, settings);
  return x;
}

order order_forget(const truth& now, const wire::ForgetNode& forget, bool present) {
  if (!now.nodes.contains(forget.node()))
    return refuse(fault::not_found, "there is no node called " + forget.node());
  if (present)
    return refuse(fault::conflict, forget.node() + " is connected; only a node that is gone can be forgotten");
  auto x = order{};
  remove(x, now, "node/" + forget.node());
  x.effect = "changed";
  return x;
}

std::vector<wire::Assign> parts_of(wire::Assign whole, std::size_t bytes_max) {
  if (whole.ByteSizeLong() <= bytes_max)
    return {std::move(whole)};
  auto instances = google::protobuf::RepeatedPtrField<wire::Instance>{};
  instances.Swap(whole.mutable_instances());
  auto parts = std::vector<wire::Assign>{whole};
  auto bytes = std::size_t{0};
  for (auto& each : instances) {
    const auto size = each.ByteSizeLong();
    if (bytes > 0 && bytes + size > bytes_max) {
      parts.push_back(whole);
      bytes = 0;
    }
    bytes += size;
    *parts.back().add_instances() = std::move(each);
  }
  for (auto i = std::size_t{0}; i < parts.size(); ++i) {
    parts[i].set_part(static_cast<std::uint32_t>(i));
    parts[i].set_parts(static_cast<std::uint32_t>(parts.size()));
  }
  return parts;
}

} // namespace novacron::scheduler
