#include "actors/scheduler/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

namespace novacron::scheduler {
namespace {

using bits = std::vector<std::uint64_t>;

/// Chosen: a node counts as crowded at this many instances, however small they are.
constexpr float guests_soft_max = 256;

bool has_bit(const bits& x, std::size_t at) {
  return at / 64 < x.size() && (x[at / 64] >> (at % 64) & 1) != 0;
}

void clear_bit(bits& x, std::size_t at) {
  if (at / 64 < x.size())
    x[at / 64] &= ~(std::uint64_t{1} << (at % 64));
}

bool one_of_models(const std::string& wanted, const std::string& model) {
  if (wanted.empty())
    return true;
  for (auto rest = std::string_view{wanted}; !rest.empty();) {
    const auto bar = rest.find('|');
    if (rest.substr(0, bar) == model)
      return true;
    rest = bar == rest.npos ? std::string_view{} : rest.substr(bar + 1);
  }
  return false;
}

float taken(std::int64_t all, std::int64_t free, std::int64_t need, float unit) {
  return static_cast<float>(all - free + need) * unit;
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
  if (cause == "near")
    return "without its neighbour";
  if (cause == "apart")
    return "with what it must be apart from";
  if (cause == "spread")
    return "full for its spread";
  if (cause == "port")
    return "with the port taken";
  return "lack " + cause;
}

} // namespace

/// A request made ready for the scan.
struct cluster::search {
  const request& what;
  features weights{};
  /// Nodes that no rule forbids; room is looked at in the scan.
  bits open;
  std::vector<const bits*> preferred;
  const bits* image = nullptr;
  const presence* own = nullptr;
  std::vector<slot> avoided;
  slot home = std::numeric_limits<slot>::max();
  /// Where the policy weighs `whole`.
  const loss_row* losses = nullptr;
  /// Per rule of spreading, whether a domain can take one more.
  std::vector<std::vector<bool>> domain_open;
};

cluster::search cluster::prepare(const request& x) const {
  auto s = search{x};
  s.weights = *policy_weights(policy_weights(x.policy)          ? x.policy
                              : policy_weights(default_policy_) ? default_policy_
                                                                : "balance");
  s.open = ready_;
  if (!x.kind.empty()) {
    const auto special = kind_masks_.find(x.kind);
    for (auto i = std::size_t{0}; i < s.open.size(); ++i) {
      const auto special_bits =
          special != kind_masks_.end() && i < special->second.size() ? special->second[i] : std::uint64_t{0};
      s.open[i] &= (i < every_kind_.size() ? every_kind_[i] : 0) | special_bits;
    }
  }
  const auto label_mask = [&](const auto& label) {
    const auto found = label_masks_.find(label.first + "=" + label.second);
    return found == label_masks_.end() ? nullptr : &found->second;
  };
  for (const auto& label : x.require) {
    const auto* mask = label_mask(label);
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      s.open[i] &= mask && i < mask->size() ? (*mask)[i] : 0;
  }
  for (const auto& label : x.prefer)
    s.preferred.push_back(label_mask(label));
  if (const auto image = image_masks_.find(x.image); !x.image.empty() && image != image_masks_.end())
    s.image = &image->second;
  if (const auto own = present_.find(x.workload); own != present_.end() && !own->second.empty())
    s.own = &own->second;
  for (const auto& name : x.avoid)
    if (const auto found = slots_.find(name); found != slots_.end())
      s.avoided.push_back(found->second);
  if (const auto home = slots_.find(x.home); home != slots_.end())
    s.home = home->second;
  if (s.weights[whole] != 0)
    s.losses = &losses(x.need);
  limit_spread(s);
  forbid_apart(s);
  demand_near(s);
  return s;
}

/// Domains are those of the nodes that are open by label, kind and state: a lost zone holds nobody back.
void cluster::limit_spread(search& s) const {
  const auto eligible = s.open;
  for (const auto& rule : s.what.spread) {
    const auto& column = domains_of(rule.key);
    auto counts = std::vector<std::int64_t>(column.count, 0);
    auto seen = std::vector<bool>(column.count, false);
    for (auto i = std::size_t{0}; i < eligible.size(); ++i)
      for (auto word = eligible[i]; word != 0; word &= word - 1) {
        const auto at = i * 64 + static_cast<std::size_t>(std::countr_zero(word));
        if (column.of[at] >= 0)
          seen[static_cast<std::size_t>(column.of[at])] = true;
      }
    if (s.own)
      for (const auto& [at, count] : *s.own)
        if (column.of[at] >= 0)
          counts[static_cast<std::size_t>(column.of[at])] += count;
    auto least = std::numeric_limits<std::int64_t>::max();
    for (auto d = std::size_t{0}; d < column.count; ++d)
      if (seen[d])
        least = std::min(least, counts[d]);
    auto& open = s.domain_open.emplace_back(column.count);
    for (auto d = std::size_t{0}; d < column.count; ++d)
      open[d] = counts[d] + 1 - least <= static_cast<std::int64_t>(std::max(rule.max_skew, 1u));
    for (auto i = std::size_t{0}; i < eligible.size(); ++i)
      for (auto word = eligible[i]; word != 0; word &= word - 1) {
        const auto at = i * 64 + static_cast<std::size_t>(std::countr_zero(word));
        if (column.of[at] < 0 || !open[static_cast<std::size_t>(column.of[at])])
          clear_bit(s.open, at);
      }
  }
}

void cluster::forbid_apart(search& s) const {
  const auto forbid = [&](const std::string& who) {
    if (const auto found = present_.find(who); found != present_.end())
      for (const auto& [at, count] : found->second)
        clear_bit(s.open, at);
  };
  std::ranges::for_each(s.what.apart, forbid);
  forbid(not_with + s.what.workload);
  std::ranges::for_each(s.what.claims, forbid);
}

void cluster::demand_near(search& s) const {
  for (const auto& who : s.what.near) {
    const auto found = present_.find(who);
    const auto somewhere = found != present_.end() && !found->second.empty();
    // The first of those who want to be together may go anywhere.
    if (!somewhere && who == s.what.workload)
      continue;
    auto there = bits(s.open.size(), 0);
    if (somewhere)
      for (const auto& [at, count] : found->second)
        there[at / 64] |= std::uint64_t{1} << (at % 64);
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      s.open[i] &= there[i];
  }
}

bool cluster::fits(const search& s, slot at) const {
  const auto& need = s.what.need;
  if (cpu_free_[at] < need.cpu_milli || memory_free_[at] < need.memory_bytes || disk_free_[at] < need.disk_bytes)
    return false;
  if (need.gpu_milli > 0) {
    if (!one_of_models(need.gpu_model, shapes_[at].capacity.gpu_model))
      return false;
    if (need.gpu_milli < 1000 ? gpu_share_[at] < need.gpu_milli : gpu_whole_[at] * 1000 < need.gpu_milli)
      return false;
  }
  for (const auto& [name, count] : need.extra) {
    const auto all = shapes_[at].capacity.extra.find(name);
    const auto used = extra_used_[at].find(name);
    const auto left = (all == shapes_[at].capacity.extra.end() ? 0 : all->second) -
                      (used == extra_used_[at].end() ? 0 : used->second);
    if (left < count)
      return false;
  }
  return true;
}

features cluster::look(const search& s, slot at) const {
  const auto& need = s.what.need;
  const auto cpu = taken(cpu_all_[at], cpu_free_[at], need.cpu_milli, cpu_unit_[at]);
  const auto memory = taken(memory_all_[at], memory_free_[at], need.memory_bytes, memory_unit_[at]);
  const auto guests = static_cast<float>(guests_[at]) * (1 / guests_soft_max);
  auto x = features{};
  auto load = std::max({cpu, memory, guests});
  const auto has_gpus = gpu_unit_[at] > 0;
  if (need.gpu_milli > 0)
    load = std::max(load, taken(static_cast<std::int64_t>(gpu_free_[at].size()) * 1000, gpu_sum_[at], need.gpu_milli,
                                gpu_unit_[at]));
  x[room] = std::clamp(1 - load, 0.0f, 1.0f);
  x[evenness] = std::clamp(1 - std::abs(cpu - memory), 0.0f, 1.0f);
  if (!s.preferred.empty()) {
    auto matched = 0;
    for (const auto* mask : s.preferred)
      matched += mask && has_bit(*mask, at);
    x[feature::prefer] = static_cast<float>(matched) / static_cast<float>(s.preferred.size());
  }
  x[image] = s.image && has_bit(*s.image, at) ? 1.0f : 0.0f;
  const auto own = s.own ? s.own->count(at) : 0;
  x[feature::spread] = 1.0f / static_cast<float>(1 + own);
  x[reserve] = has_gpus == (need.gpu_milli > 0) ? 1.0f : 0.0f;
  x[fresh] = std::ranges::find(s.avoided, at) == s.avoided.end() ? 1.0f : 0.0f;
  x[feature::home] = at == s.home ? 1.0f : 0.0f;
  x[whole] = s.losses ? s.losses->change[at] : 0.0f;
  return x;
}

namespace {

float weigh(const features& weights, const features& x) {
  auto sum = 0.0f;
  for (auto i = std::size_t{0}; i < feature_count; ++i)
    sum += weights[i] * x[i];
  return sum;
}

} // namespace

/// The fullest device that still has room for a share; the first free ones for whole devices.
std::optional<std::vector<std::uint32_t>> cluster::choose_gpus(slot at, const amount& need) const {
  auto chosen = std::vector<std::uint32_t>{};
  if (need.gpu_milli <= 0)
    return chosen;
  const auto& devices = gpu_free_[at];
  if (need.gpu_milli < 1000) {
    auto best = devices.size();
    for (auto i = std::size_t{0}; i < devices.size(); ++i)
      if (devices[i] >= need.gpu_milli && (best == devices.size() || devices[i] < devices[best]))
        best = i;
    if (best == devices.size())
      return std::nullopt;
    chosen.push_back(static_cast<std::uint32_t>(best));
    return chosen;
  }
  for (auto i = std::size_t{0}; i < devices.size() && static_cast<std::int64_t>(chosen.size()) * 1000 < need.gpu_milli;
       ++i)
    if (devices[i] >= 1000)
      chosen.push_back(static_cast<std::uint32_t>(i));
  if (static_cast<std::int64_t>(chosen.size()) * 1000 < need.gpu_milli)
    return std::nullopt;
  return chosen;
}

/// Which of 64 nodes have cpu, memory and disk enough. Without branches: on a full cluster nobody could predict them.
std::uint64_t cluster::roomy(const amount& need, std::size_t word) const {
  const auto base = word * 64;
  const auto count = std::min<std::size_t>(64, cpu_free_.size() - base);
  const auto* cpu = cpu_free_.data() + base;
  const auto* memory = memory_free_.data() + base;
  const auto* disk = disk_free_.data() + base;
  auto found = std::uint64_t{0};
  for (auto i = std::size_t{0}; i < count; ++i)
    found |= static_cast<std::uint64_t>((cpu[i] >= need.cpu_milli) & (memory[i] >= need.memory_bytes) &
                                        (disk[i] >= need.disk_bytes))
             << i;
  return found;
}

/// The sum of `weigh(look())` for requests without preferences, in the same order of additions, so that both agree.
float cluster::score_plain(const search& s, slot at, std::uint32_t own) const {
  const auto& w = s.weights;
  const auto cpu = taken(cpu_all_[at], cpu_free_[at], s.what.need.cpu_milli, cpu_unit_[at]);
  const auto memory = taken(memory_all_[at], memory_free_[at], s.what.need.memory_bytes, memory_unit_[at]);
  const auto load = std::max({cpu, memory, static_cast<float>(guests_[at]) * (1 / guests_soft_max)});
  auto sum = w[room] * std::clamp(1 - load, 0.0f, 1.0f);
  sum += w[evenness] * std::clamp(1 - std::abs(cpu - memory), 0.0f, 1.0f);
  sum += own == 0 ? w[feature::spread] : w[feature::spread] * (1.0f / static_cast<float>(1 + own));
  sum += gpu_unit_[at] > 0 ? 0.0f : w[reserve];
  return sum + w[fresh];
}

std::optional<decision> cluster::place(const request& x) const {
  rank_names();
  const auto s = prepare(x);
  const auto plain =
      s.preferred.empty() && !s.image && s.avoided.empty() && x.home.empty() && x.need.gpu_milli == 0 && !s.losses;
  const auto nobody = presence{};
  const auto& guests = s.own ? *s.own : nobody;
  auto own = guests.begin();
  auto best = slot{0};
  auto best_score = -std::numeric_limits<float>::infinity();
  auto found = false;
  const auto countable = x.need.gpu_milli == 0 && x.need.extra.empty();
  for (auto i = std::size_t{0}; i < s.open.size(); ++i)
    for (auto word = s.open[i] == 0 ? 0 : s.open[i] & roomy(x.need, i); word != 0; word &= word - 1) {
      const auto at = static_cast<slot>(i * 64 + static_cast<std::size_t>(std::countr_zero(word)));
      if (!countable && !fits(s, at))
        continue;
      while (own != guests.end() && own->first < at)
        ++own;
      const auto score = plain ? score_plain(s, at, own != guests.end() && own->first == at ? own->second : 0)
                               : weigh(s.weights, look(s, at));
      if (!found || score > best_score || (score == best_score && rank_[at] < rank_[best])) {
        best = at;
        best_score = score;
        found = true;
      }
    }
  if (!found)
    return std::nullopt;
  auto gpus = *choose_gpus(best, x.need);
  if (s.losses && x.need.gpu_milli > 0 && x.need.gpu_milli < 1000)
    gpus.front() = s.losses->device[best];
  return decision{shapes_[best].name, std::move(gpus), best_score};
}

// -- why ---------------------------------------------------------------------------------------

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
  const auto here = [&](const std::string& who) {
    const auto found = present_.find(who);
    return found != present_.end() && found->second.count(at) > 0;
  };
  for (const auto& who : x.apart)
    if (here(who))
      return node_refusal{shape.name, "apart", who + " is here"};
  if (here(not_with + x.workload))
    return node_refusal{shape.name, "apart", "one here refuses to be with " + x.workload};
  for (const auto& claim : x.claims)
    if (here(claim))
      return node_refusal{shape.name, "port", claim + " is taken"};
  for (const auto& who : x.near)
    if (!here(who) && !(who == x.workload && !s.own))
      return node_refusal{shape.name, "near", who + " is not here"};
  for (auto i = std::size_t{0}; i < x.spread.size(); ++i) {
    const auto domain = domains_of(x.spread[i].key).of[at];
    if (domain < 0 || !s.domain_open[i][static_cast<std::size_t>(domain)])
      return node_refusal{shape.name, "spread",
                          domain < 0 ? "has no " + x.spread[i].key
                                     : fmt::format("one more here would exceed a skew of {} over {}",
                                                   x.spread[i].max_skew, x.spread[i].key)};
  }
  return std::nullopt;
}

node_refusal cluster::refuse(const search& s, slot at) const {
  if (auto by_rules = refuse_by_rules(s, at))
    return *by_rules;
  const auto& need = s.what.need;
  const auto lacks = [&](std::string cause, std::int64_t wanted, std::int64_t free) {
    return node_refusal{shapes_[at].name, std::move(cause), fmt::format("wants {}, {} free", wanted, free)};
  };
  if (cpu_free_[at] < need.cpu_milli)
    return lacks("cpu", need.cpu_milli, cpu_free_[at]);
  if (memory_free_[at] < need.memory_bytes)
    return lacks("memory", need.memory_bytes, memory_free_[at]);
  if (disk_free_[at] < need.disk_bytes)
    return lacks("disk", need.disk_bytes, disk_free_[at]);
  if (need.gpu_milli > 0 && !one_of_models(need.gpu_model, shapes_[at].capacity.gpu_model))
    return node_refusal{shapes_[at].name, "gpu",
                        "wants a " + need.gpu_model + ", has " +
                            (shapes_[at].capacity.gpu_model.empty() ? "none" : shapes_[at].capacity.gpu_model)};
  if (need.gpu_milli > 0 && !choose_gpus(at, need))
    return lacks("gpu", need.gpu_milli, need.gpu_milli < 1000 ? gpu_share_[at] : gpu_whole_[at] * 1000);
  const auto left = free_on(shapes_[at].name);
  for (const auto& [name, count] : need.extra) {
    const auto free = left.extra.find(name);
    if (free == left.extra.end() || free->second < count)
      return lacks(name, count, free == left.extra.end() ? 0 : free->second);
  }
  return {};
}

explanation cluster::explain(const request& x) const {
  const auto s = prepare(x);
  auto result = explanation{};
  auto counts = std::map<std::string, std::size_t>{};
  for (const auto& [name, at] : slots_) {
    if (has_bit(s.open, at) && fits(s, at)) {
      const auto values = look(s, at);
      result.scores.push_back({name, weigh(s.weights, values), values});
      continue;
    }
    auto refusal = refuse(s, at);
    ++counts[in_words(refusal.cause, refusal.detail.substr(0, refusal.detail.find(':')))];
    result.refusals.push_back(std::move(refusal));
  }
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
