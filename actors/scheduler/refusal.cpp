#include "actors/scheduler/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>

namespace novacron::scheduler {
namespace {

bool one_of_models(const std::string& wanted, const std::string& model) {
  const auto models = models_in(wanted);
  return models.empty() || std::ranges::find(models, model) != models.end();
}

std::string join(const std::vector<std::string>& parts) {
  auto text = std::string{};
  for (const auto& part : parts)
    text += (text.empty() ? "" : ", ") + part;
  return text;
}

/// "lack memory", "wrong zone": what is wrong with `count` nodes that were refused for `cause`.
std::string in_words(const std::string& cause, const std::string& label) {
  if (cause == "label")
    return "wrong " + label;
  if (cause == "drained" || cause == "lost")
    return cause;
  if (cause == "kind")
    return "cannot run it";
  if (cause == "taint")
    return "with a taint it does not tolerate";
  if (cause == "near")
    return "without its neighbour";
  if (cause == "apart")
    return "with what it must be apart from";
  if (cause == "spread")
    return "full for its spread";
  if (cause == "port")
    return "with the port taken";
  if (cause == "reserved")
    return "with the room reserved";
  return "lack " + cause;
}

} // namespace

std::optional<node_refusal> cluster::refuse_by_rules(const search& s, slot at) const {
  const auto& shape = shapes_[at];
  const auto& x = s.what;
  if (shape.state != node_state::ready)
    return node_refusal{shape.name, shape.state == node_state::drained ? "drained" : "lost", ""};
  if (!shape.hosts ||
      (!x.kind.empty() && !shape.kinds.empty() && std::ranges::find(shape.kinds, x.kind) == shape.kinds.end()))
    return node_refusal{shape.name, "kind", shape.hosts ? "does not run " + x.kind : "runs no workloads"};
  for (const auto& [key, value] : x.require) {
    const auto label = shape.labels.find(key);
    if (label == shape.labels.end() || label->second != value)
      return node_refusal{shape.name, "label",
                          key + ": wants " + value + ", has " + (label == shape.labels.end() ? "none" : label->second)};
  }
  for (const auto& rule : x.where)
    if (!holds(rule, shape.labels)) {
      const auto label = shape.labels.find(rule.key);
      return node_refusal{shape.name, "label",
                          rule.key + ": wants " + novacron::scheduler::in_words(rule) + ", has " +
                            (label == shape.labels.end() ? "none" : label->second)};
    }
  for (const auto& each : shape.taints)
    if (each.effect != taint_effect::avoid && !tolerates(x.tolerate, each))
      return node_refusal{shape.name, "taint", novacron::scheduler::in_words(each) + " is not tolerated"};
  if (auto by_others = refuse_by_neighbours(s, at))
    return by_others;
  for (auto i = std::size_t{0}; i < x.spread.size(); ++i) {
    const auto domain = domains_of(x.spread[i].key).of[at];
    if (x.spread[i].prefer)
      continue;
    if (domain < 0 || !s.domain_open[i][static_cast<std::size_t>(domain)])
      return node_refusal{shape.name, "spread",
                          domain < 0 ? "has no " + x.spread[i].key
                                     : fmt::format("one more here would exceed a skew of {} over {}",
                                                   x.spread[i].max_skew, x.spread[i].key)};
  }
  return std::nullopt;
}

std::optional<node_refusal> cluster::refuse_by_neighbours(const search& s, slot at) const {
  const auto& name = shapes_[at].name;
  const auto& x = s.what;
  const auto place = [](const std::string& over) { return over == "node" ? "here" : "in the same " + over; };
  for (const auto& each : x.apart)
    if (!each.prefer && is_around(at, presence_of(each.who), each.over))
      return node_refusal{name, "apart", each.who + " is " + place(each.over)};
  for (const auto& over : apart_over_) {
    if (is_around(at, refusal_of(x.workload, over), over))
      return node_refusal{name, "apart", "one " + place(over) + " refuses to be with " + x.workload};
    for (const auto& label : x.labels)
      if (is_around(at, refusal_of(label, over), over))
        return node_refusal{name, "apart", "one " + place(over) + " refuses to be with " + label};
  }
  for (const auto& claim : x.claims)
    if (is_around(at, claim, "node"))
      return node_refusal{name, "port", claim + " is taken"};
  for (const auto& each : x.near) {
    const auto found = present_.find(presence_of(each.who));
    const auto somewhere = found != present_.end() && !found->second.empty();
    if (!each.prefer && !is_around(at, presence_of(each.who), each.over) && (somewhere || !is_itself(x, each)))
      return node_refusal{name, "near", each.who + " is not " + place(each.over)};
  }
  return std::nullopt;
}

/// What is kept on a node, and for which reservations.
std::pair<amount, std::string> cluster::reserved_at(slot at) const {
  auto sum = amount{};
  auto names = std::vector<std::string>{};
  if (reserved_ == 0 || !held_.room_at[at])
    return {};
  for (const auto* held : held_.room_at[at]->holds) {
    if (held->what.reservation.empty())
      continue;
    sum.cpu_milli += held->what.need.cpu_milli;
    sum.memory_bytes += held->what.need.memory_bytes;
    sum.disk_bytes += held->what.need.disk_bytes;
    sum.gpu_milli += held->what.need.gpu_milli;
    for (const auto& [name, count] : held->what.need.extra)
      sum.extra[name] += count;
    names.push_back(held->what.reservation);
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return {sum, join(names)};
}

node_refusal cluster::refuse(const search& s, slot at) const {
  if (auto by_rules = refuse_by_rules(s, at))
    return *by_rules;
  const auto& need = s.what.need;
  const auto [kept, whose] = reserved_at(at);
  const auto lacks = [&](std::string cause, std::int64_t wanted, std::int64_t free, std::int64_t reserved) {
    if (reserved > 0 && free + reserved >= wanted)
      return node_refusal{shapes_[at].name, "reserved",
                          fmt::format("wants {} of {}, {} free, {} kept for {}", wanted, cause, free, reserved, whose)};
    return node_refusal{shapes_[at].name, std::move(cause), fmt::format("wants {}, {} free", wanted, free)};
  };
  if (cpu_free_[at] < need.cpu_milli)
    return lacks("cpu", need.cpu_milli, cpu_free_[at], kept.cpu_milli);
  if (memory_free_[at] < need.memory_bytes)
    return lacks("memory", need.memory_bytes, memory_free_[at], kept.memory_bytes);
  if (disk_free_[at] < need.disk_bytes)
    return lacks("disk", need.disk_bytes, disk_free_[at], kept.disk_bytes);
  if (need.gpu_milli > 0 && !one_of_models(need.gpu_model, shapes_[at].capacity.gpu_model))
    return node_refusal{shapes_[at].name, "gpu",
                        "wants a " + need.gpu_model + ", has " +
                            (shapes_[at].capacity.gpu_model.empty() ? "none" : shapes_[at].capacity.gpu_model)};
  if (need.gpu_milli > 0 && !choose_gpus(at, need))
    return lacks("gpu", need.gpu_milli, need.gpu_milli < 1000 ? gpu_share_[at] : gpu_whole_[at] * 1000, kept.gpu_milli);
  const auto left = free_on(shapes_[at].name);
  for (const auto& [name, count] : need.extra) {
    const auto free = left.extra.find(name);
    const auto own = kept.extra.find(name);
    if (free == left.extra.end() || free->second < count)
      return lacks(name, count, free == left.extra.end() ? 0 : free->second, own == kept.extra.end() ? 0 : own->second);
  }
  return {};
}

explanation cluster::explain(const request& x) const {
  auto s = prepare(x);
  adjust_single_nodes(s);
  auto result = explanation{};
  auto counts = std::map<std::string, std::size_t>{};
  for (const auto& [name, at] : slots_) {
    if (has_bit(s.open, at) && fits(s, at)) {
      result.scores.push_back({name, total(s, at), look(s, at)});
      continue;
    }
    auto refusal = refuse(s, at);
    ++counts[in_words(refusal.cause, refusal.detail.substr(0, refusal.detail.find(':')))];
    result.refusals.push_back(std::move(refusal));
  }
  for (const auto at : s.adjusted)
    adjust_[at] = 0;
  std::ranges::stable_sort(result.scores, std::greater{}, &node_score::score);
  auto sorted = std::vector<std::pair<std::string, std::size_t>>(counts.begin(), counts.end());
  std::ranges::stable_sort(sorted, std::greater{}, &std::pair<std::string, std::size_t>::second);
  auto parts = std::vector<std::string>{};
  if (!result.scores.empty())
    parts.push_back(fmt::format("{} fit", result.scores.size()));
  for (const auto& [words, count] : sorted)
    parts.push_back(fmt::format("{} {}", count, words));
  result.summary = fmt::format("{} node{}{}{}", slots_.size(), slots_.size() == 1 ? "" : "s", parts.empty() ? "" : ": ",
                               join(parts));
  return result;
}

} // namespace novacron::scheduler
