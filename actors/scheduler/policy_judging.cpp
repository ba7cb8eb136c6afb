#include "actors/scheduler/reconcile_round.hpp"
#include "actors/scheduler/trial.hpp"

#include <utility>

namespace novacron::scheduler {

/// Remembers what a new instance needs, as far as replays know of needs.
void reconciler::note_asked(const request& wanted) {
  const auto& need = wanted.need;
  auto x = trace_pod{};
  x.cpu_milli = need.cpu_milli;
  x.memory_mib = (need.memory_bytes + (1 << 20) - 1) >> 20;
  x.gpus = need.gpu_milli < 1000 ? need.gpu_milli > 0 : need.gpu_milli / 1000;
  x.gpu_milli = need.gpu_milli < 1000 ? need.gpu_milli : 1000;
  x.models = need.gpu_model;
  ++asked_since_;
  if (asked_.size() < settings_.judge_after) {
    asked_.push_back(std::move(x));
    return;
  }
  asked_[asked_at_] = std::move(x);
  asked_at_ = (asked_at_ + 1) % asked_.size();
}

/// A policy that was learned, and is the cluster's, must not fall behind the usual one on what is really asked for: then
/// that one takes its place, and the record says why.
void reconciler::judge_policy(round& r) {
  if (asked_since_ < settings_.judge_after || (judged_at_ && r.now - *judged_at_ < settings_.judge_every))
    return;
  const auto name = default_policy();
  const auto known = truth_.policies.find(name);
  const auto trial = policy_trials_.find(name);
  if (known == truth_.policies.end() || !known->second.value.has_training() || trial == policy_trials_.end() ||
      !trial->second.wrong.empty())
    return;
  asked_since_ = 0;
  judged_at_ = r.now;
  auto nodes = std::vector<trace_node>{};
  for (const auto& [node, x] : truth_.nodes)
    if (const auto* shape = cluster_.find_node(node); shape && shape->hosts && shape->state == node_state::ready)
      nodes.push_back({"", shape->capacity.cpu_milli, shape->capacity.memory_bytes >> 20,
                       shape->capacity.gpu_milli / 1000, shape->capacity.gpu_model});
  const auto why = wrong_in_use(to_features(known->second.value), nodes, asked_);
  if (why.empty())
    return;
  auto next = known->second.value;
  next.set_fallback(why);
  r.put("policy/" + name, next, known->second.revision);
  tell("policy", name, "set aside", why);
}

} // namespace novacron::scheduler
