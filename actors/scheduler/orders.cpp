#include "actors/scheduler/orders.hpp"

#include "actors/scheduler/demand.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <utility>

namespace novacron::scheduler {
namespace {

using google::protobuf::util::MessageDifferencer;

order refuse(fault kind, std::string reason) {
  auto x = order{};
  x.refused = kind;
  x.reason = std::move(reason);
  return x;
}

template <class Record>
void put(order& x, const truth& now, const std::string& key, const Record& value) {
  auto& op = x.ops.emplace_back();
  op.set_key(key);
  op.set_value(value.SerializeAsString());
  op.set_conditional(true);
  op.set_revision(now.revision_of(key));
}

} // namespace

order order_submit(const truth& now, const wire::WorkloadSpec& spec, std::int64_t now_ms) {
  if (auto wrong = what_is_wrong(spec); !wrong.empty())
    return refuse(fault::bad_request, std::move(wrong));
  const auto wanted = with_defaults(spec);
  const auto* known = now.find_workload(spec.name());
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
  auto record = *known;
  record.set_stopped(true);
  record.set_forgotten(known->forgotten() || stop.forget());
  x.effect = "changed";
  put(x, now, "workload/" + stop.name(), record);
  return x;
}

order order_drain(const truth& now, const wire::DrainNode& drain) {
  const auto known = now.nodes.find(drain.node());
  if (known == now.nodes.end())
    return refuse(fault::not_found, "there is no node called " + drain.node());
  auto x = order{};
  if (known->second.value.drained() == drain.drained())
    return x;
  auto record = known->second.value;
  record.set_drained(drain.drained());
  x.effect = "changed";
  put(x, now, "node/" + drain.node(), record);
  return x;
}

order order_forget(const truth& now, const wire::ForgetNode& forget, bool present) {
  if (!now.nodes.contains(forget.node()))
    return refuse(fault::not_found, "there is no node called " + forget.node());
  if (present)
    return refuse(fault::conflict, forget.node() + " is connected; only a node that is gone can be forgotten");
  auto x = order{};
  auto& op = x.ops.emplace_back();
  op.set_key("node/" + forget.node());
  op.set_remove(true);
  op.set_conditional(true);
  op.set_revision(now.revision_of(op.key()));
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
