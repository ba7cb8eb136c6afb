#include "actors/scheduler/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
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
  void fits(std::size_t count = 1) { fit_ += count; }
  void add(std::string_view cause, std::string_view label, std::size_t count = 1) {
    const auto found =
        std::ranges::find_if(counts_, [&](const auto& x) { return x.cause == cause && x.label == label; });
    (found == counts_.end() ? counts_.emplace_back(std::string{cause}, std::string{label}) : *found).count += count;
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

/// Takes nodes out for one cause after another and counts them: the first that holds of a node is told of it.
class cluster::elimination {
public:
  explicit elimination(mask all) : left_{std::move(all)} {}

  /// `refused` gives the words of the mask of those that the cause holds of.
  template <class Refused>
  void refuse(std::string_view cause, std::string_view label, Refused&& refused) {
    auto count = std::size_t{0};
    for (auto i = std::size_t{0}; i < left_.size(); ++i) {
      const auto hit = left_[i] & refused(i);
      left_[i] &= ~hit;
      count += static_cast<std::size_t>(std::popcount(hit));
    }
    if (count > 0)
      counts_.add(cause, label, count);
  }
  void refuse(std::string_view cause, const mask& refused) {
    refuse(cause, "", [&](std::size_t i) { return i < refused.size() ? refused[i] : 0; });
  }
  void refuse_without(std::string_view cause, std::string_view label, const mask* able) {
    refuse(cause, label, [&](std::size_t i) { return able && i < able->size() ? ~(*able)[i] : ~std::uint64_t{0}; });
  }

  std::string summary(std::size_t nodes) {
    for (const auto word : left_)
      counts_.fits(static_cast<std::size_t>(std::popcount(word)));
    return counts_.summary(nodes);
  }

private:
  mask left_;
  tally counts_;
};

void cluster::count_rules(elimination& e, const search& s) const {
  const auto& x = s.what;
  e.refuse("drained", drained_);
  e.refuse("lost", lost_);
  e.refuse_without("kind", "", &ready_for(x.kind));
  for (const auto& [key, value] : x.require) {
    auto own = mask{};
    e.refuse_without("label", key, with_label(key, value, own));
  }
  for (const auto& rule : x.where)
    e.refuse_without("label", rule.key, &mask_of(rule));
  auto tainted = mask(ready_.size(), 0);
  for (const auto at : tainted_)
    if (std::ranges::any_of(shapes_[at].taints, [&](const taint& each) {
          return each.effect != taint_effect::avoid && !tolerates(x.tolerate, each);
        }))
      tainted[at / 64] |= std::uint64_t{1} << (at % 64);
  e.refuse("taint", tainted);
}

void cluster::count_neighbours(elimination& e, const search& s) const {
  const auto& x = s.what;
  const auto beside = [&](std::string_view cause, const std::string& who, const std::string& over) {
    if (const auto found = present_.find(who); found != present_.end())
      e.refuse(cause, around(found->second, over));
  };
  for (const auto& each : x.apart)
    if (!each.prefer)
      beside("apart", presence_of(each.who), each.over);
  for (const auto& over : apart_over_) {
    beside("apart", refusal_of(x.workload, over), over);
    for (const auto& label : x.labels)
      beside("apart", refusal_of(label, over), over);
  }
  for (const auto& claim : x.claims)
    beside("port", claim, "node");
  for (const auto& each : x.near) {
    if (each.prefer)
      continue;
    const auto found = present_.find(presence_of(each.who));
    const auto there = found == present_.end() ? mask{} : around(found->second, each.over);
    if (found != present_.end() || !is_itself(x, each))
      e.refuse_without("near", "", &there);
  }
}

void cluster::count_spread(elimination& e, const search& s) const {
  for (auto i = std::size_t{0}; i < s.what.spread.size(); ++i) {
    if (s.what.spread[i].prefer)
      continue;
    const auto& of = domains_of(s.what.spread[i].key).of;
    auto open = mask(ready_.size(), 0);
    for (auto at = std::size_t{0}; at < of.size(); ++at)
      if (of[at] >= 0 && s.domain_open[i][static_cast<std::size_t>(of[at])])
        open[at / 64] |= std::uint64_t{1} << (at % 64);
    e.refuse_without("spread", "", &open);
  }
}

void cluster::find_lack_again(lack_row& row, const request& x, slot at) const {
  const auto bit = std::uint64_t{1} << (at % 64);
  for (auto& [cause, where] : row.by_cause)
    where[at / 64] &= ~bit;
  const auto found = has_bit(there_, at) ? find_lack(x, at) : std::nullopt;
  if (!found)
    return;
  const auto cause = lacks_reserved(*found, at) ? std::string_view{"reserved"} : found->cause;
  auto known = std::ranges::find(row.by_cause, cause, &std::pair<std::string, mask>::first);
  if (known == row.by_cause.end())
    known = row.by_cause.insert(known, {std::string{cause}, mask((shapes_.size() + 63) / 64, 0)});
  known->second[at / 64] |= bit;
}

const cluster::lack_row& cluster::lacks_for(const request& x) const {
  // Chosen: of so many kinds of needs it is kept, of a hundred thousand nodes some 50 kB each.
  constexpr auto lacks_max = std::size_t{64};
  const auto& need = x.need;
  auto key =
      whole_need{{need.cpu_milli, need.memory_bytes, need.disk_bytes, need.gpu_milli}, need.gpu_model, need.extra};
  auto found = lacks_.find(key);
  if (found == lacks_.end()) {
    if (lacks_.size() >= lacks_max)
      lacks_.erase(std::ranges::min_element(lacks_, {}, [](const auto& each) { return each.second.asked; }));
    found = lacks_.try_emplace(std::move(key)).first;
  }
  auto& row = found->second;
  row.asked = ++rows_asked_;
  if (row.size == shapes_.size() && row.seen >= changes_forgotten_) {
    for (auto i = row.seen - changes_forgotten_; i < changes_.size(); ++i)
      find_lack_again(row, x, changes_[i]);
  } else {
    row.by_cause.clear();
    row.size = shapes_.size();
    for (auto at = slot{0}; at < shapes_.size(); ++at)
      find_lack_again(row, x, at);
  }
  row.seen = changes_forgotten_ + changes_.size();
  return row;
}

std::string cluster::why_not(const request& x) const {
  const auto s = prepare(x);
  auto e = elimination{there_};
  count_rules(e, s);
  count_neighbours(e, s);
  count_spread(e, s);
  for (const auto& [cause, where] : lacks_for(x).by_cause)
    e.refuse(cause, where);
  return e.summary(slots_.size());
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
