#include "actors/scheduler/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

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

/// How much of something is kept on a node, and for which reservations.
std::pair<std::int64_t, std::string> cluster::reserved_at(slot at, std::string_view resource) const {
  auto sum = std::int64_t{0};
  auto names = std::vector<std::string>{};
  for (const auto* held : held_.room_at[at]->holds) {
    if (held->what.reservation.empty())
      continue;
    const auto& need = held->what.need;
    const auto further = need.extra.find(std::string{resource});
    const auto part = resource == "cpu"             ? need.cpu_milli
                      : resource == "memory"        ? need.memory_bytes
                      : resource == "disk"          ? need.disk_bytes
                      : resource == "gpu"           ? need.gpu_milli
                      : further == need.extra.end() ? 0
                                                    : further->second;
    if (part > 0)
      names.push_back(held->what.reservation);
    sum += part;
  }
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  return {sum, join(names)};
}

std::optional<cluster::lack> cluster::find_lack(const request& x, slot at) const {
  const auto& need = x.need;
  if (cpu_free_[at] < need.cpu_milli)
    return lack{"cpu", need.cpu_milli, cpu_free_[at]};
  if (memory_free_[at] < need.memory_bytes)
    return lack{"memory", need.memory_bytes, memory_free_[at]};
  if (disk_free_[at] < need.disk_bytes)
    return lack{"disk", need.disk_bytes, disk_free_[at]};
  if (need.gpu_milli > 0 && !one_of_models(need.gpu_model, shapes_[at].capacity.gpu_model))
    return lack{"gpu", need.gpu_milli, 0, true};
  if (need.gpu_milli > 0 && !choose_gpus(at, need))
    return lack{"gpu", need.gpu_milli, need.gpu_milli < 1000 ? gpu_share_[at] : gpu_whole_[at] * 1000};
  for (const auto& [name, count] : need.extra) {
    const auto column = extra_free_.find(name);
    const auto free = column == extra_free_.end() ? 0 : column->second[at];
    if (free < count)
      return lack{name, count, free};
  }
  return std::nullopt;
}

/// Whether a node would have enough if nothing were kept there.
bool cluster::lacks_reserved(const lack& x, slot at) const {
  const auto kept = reserved_ > 0 && !x.wrong_model ? reserved_at(at, x.cause).first : 0;
  return kept > 0 && x.free + kept >= x.wanted;
}

node_refusal cluster::refuse(const search& s, slot at) const {
  if (auto by_rules = refuse_by_rules(s, at))
    return *by_rules;
  const auto found = find_lack(s.what, at);
  const auto& name = shapes_[at].name;
  if (!found)
    return {};
  if (found->wrong_model) {
    const auto& model = shapes_[at].capacity.gpu_model;
    return {name, "gpu", "wants a " + s.what.need.gpu_model + ", has " + (model.empty() ? "none" : model)};
  }
  if (lacks_reserved(*found, at)) {
    const auto [kept, whose] = reserved_at(at, found->cause);
    return {
        name, "reserved",
        fmt::format("wants {} of {}, {} free, {} kept for {}", found->wanted, found->cause, found->free, kept, whose)};
  }
  return {name, std::string{found->cause}, fmt::format("wants {}, {} free", found->wanted, found->free)};
}

/// How many nodes are refused for what, in words.
class cluster::tally {
public:
  void fits() { ++fit_; }
  void add(std::string_view cause, std::string_view label) {
    const auto found =
        std::ranges::find_if(counts_, [&](const auto& x) { return x.cause == cause && x.label == label; });
    ++(found == counts_.end() ? counts_.emplace_back(std::string{cause}, std::string{label}) : *found).count;
  }

  std::string summary(std::size_t nodes) {
    for (auto& x : counts_)
      x.cause = in_words(x.cause, x.label);
    std::ranges::sort(counts_, [](const auto& a, const auto& b) {
      return std::tuple{b.count, a.cause} < std::tuple{a.count, b.cause};
    });
    auto parts = std::vector<std::string>{};
    if (fit_ > 0)
      parts.push_back(fmt::format("{} fit", fit_));
    for (const auto& x : counts_)
      parts.push_back(fmt::format("{} {}", x.count, x.cause));
    return fmt::format("{} node{}{}{}", nodes, nodes == 1 ? "" : "s", parts.empty() ? "" : ": ", join(parts));
  }

private:
  struct entry {
    entry(std::string why, std::string over) : cause{std::move(why)}, label{std::move(over)} {}
    std::string cause;
    /// The label that is wrong.
    std::string label;
    std::size_t count = 0;
  };
  std::size_t fit_ = 0;
  std::vector<entry> counts_;
};

std::string cluster::why_not(const request& x) const {
  auto s = prepare(x);
  auto counts = tally{};
  for (const auto& [name, at] : slots_) {
    const auto open = has_bit(s.open, at);
    if (open && cluster::fits(s, at)) {
      counts.fits();
      continue;
    }
    // What no rule forbids lacks something, and that is told without a word.
    if (!open)
      if (const auto by_rules = refuse_by_rules(s, at)) {
        const auto label = by_rules->cause == "label" ? by_rules->detail.substr(0, by_rules->detail.find(':')) : "";
        counts.add(by_rules->cause, label);
        continue;
      }
    if (const auto found = find_lack(x, at))
      counts.add(lacks_reserved(*found, at) ? "reserved" : found->cause, "");
    else
      counts.add("", "");
  }
  return counts.summary(slots_.size());
}

explanation cluster::explain(const request& x) const {
  auto s = prepare(x);
  adjust_single_nodes(s);
  auto result = explanation{};
  auto counts = tally{};
  for (const auto& [name, at] : slots_) {
    if (has_bit(s.open, at) && fits(s, at)) {
      result.scores.push_back({name, total(s, at), look(s, at)});
      counts.fits();
      continue;
    }
    auto refusal = refuse(s, at);
    counts.add(refusal.cause, refusal.cause == "label" ? refusal.detail.substr(0, refusal.detail.find(':')) : "");
    result.refusals.push_back(std::move(refusal));
  }
  for (const auto at : s.adjusted)
    adjust_[at] = 0;
  std::ranges::stable_sort(result.scores, std::greater{}, &node_score::score);
  result.summary = counts.summary(slots_.size());
  return result;
}

} // namespace novacron::scheduler
