#include "actors/scheduler/search.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <tuple>

namespace novacron::scheduler {
namespace {

/// What each of the wishes of a request adds to the feature `prefer`: all of them make 1.
float part_of_wish(const request& x) {
  const auto wishes =
      x.prefer.size() + static_cast<std::size_t>(std::ranges::count(x.near, true, &neighbour::prefer) +
                                                 std::ranges::count(x.apart, true, &neighbour::prefer) +
                                                 std::ranges::count(x.spread, true, &spread_rule::prefer));
  return 1 / static_cast<float>(std::max<std::size_t>(wishes, 1));
}

} // namespace

/// The nodes that are ready and run this kind of workload; kept, since most requests are of a few kinds.
const cluster::mask& cluster::ready_for(const std::string& kind) const {
  if (kind.empty())
    return ready_;
  // Chosen: there are five kinds.
  constexpr auto kinds_max = std::size_t{16};
  if (ready_kinds_.size() >= kinds_max)
    ready_kinds_.clear();
  const auto [found, fresh] = ready_kinds_.try_emplace(kind, ready_);
  auto& open = found->second;
  if (!fresh)
    return open;
  const auto special = kind_masks_.find(kind);
  for (auto i = std::size_t{0}; i < open.size(); ++i) {
    const auto special_bits =
        special != kind_masks_.end() && i < special->second.size() ? special->second[i] : std::uint64_t{0};
    open[i] &= (i < every_kind_.size() ? every_kind_[i] : 0) | special_bits;
  }
  return open;
}

cluster::search cluster::prepare(const request& x) const {
  auto s = search{x};
  s.weights = weights_of(x.policy);
  s.open = ready_for(x.kind);
  for (const auto& [key, value] : x.require) {
    auto own = mask{};
    const auto* with = with_label(key, value, own);
    const auto known = with ? std::min(with->size(), s.open.size()) : 0;
    for (auto i = std::size_t{0}; i < known; ++i)
      s.open[i] &= (*with)[i];
    std::fill(s.open.begin() + static_cast<std::ptrdiff_t>(known), s.open.end(), 0);
  }
  hold_to_labels(s);
  for (const auto& [key, value] : x.prefer) {
    const auto part = part_of_wish(x);
    s.bonuses.push_back(
        {with_label(key, value, s.own_masks.emplace_back()), feature::prefer, part, s.weights[feature::prefer] * part});
  }
  if (const auto found = image_masks_.find(x.image); !x.image.empty() && found != image_masks_.end())
    s.bonuses.push_back({&found->second, feature::image, 1, s.weights[image]});
  if (const auto own = present_.find(x.workload); own != present_.end() && !own->second.empty())
    s.own = &own->second;
  for (const auto& name : x.avoid)
    if (const auto found = slots_.find(name); found != slots_.end())
      s.avoided.push_back(found->second);
  if (const auto home = slots_.find(x.home); home != slots_.end())
    s.home = home->second;
  heed_taints(s);
  prefer_cheap(s);
  prefer_other_zones(s);
  limit_spread(s);
  forbid_apart(s);
  demand_near(s);
  narrow_by_devices(s);
  s.row = &row_for(x.need, s.weights);
  return s;
}

/// The nodes with that label, null where there is none; by name it is one, in `own`.
const cluster::mask* cluster::with_label(const std::string& key, const std::string& value, mask& own) const {
  if (key != "node") {
    const auto found = label_masks_.find(key + "=" + value);
    return found == label_masks_.end() ? nullptr : &found->second;
  }
  const auto found = slots_.find(value);
  if (found == slots_.end())
    return nullptr;
  own.assign(ready_.size(), 0);
  own[found->second / 64] |= std::uint64_t{1} << (found->second % 64);
  return &own;
}

/// The nodes of which a rule over labels holds.
const cluster::mask& cluster::mask_of(const label_rule& rule) const {
  // Chosen: more rules than that are not kept.
  constexpr auto masks_max = std::size_t{1024};
  if (rule_masks_.size() >= masks_max)
    rule_masks_.clear();
  const auto [found, fresh] = rule_masks_.try_emplace(in_words(rule));
  auto& allowed = found->second;
  if (fresh) {
    allowed.assign((shapes_.size() + 63) / 64, 0);
    for (const auto& [name, at] : slots_)
      if (holds(rule, shapes_[at].labels))
        allowed[at / 64] |= std::uint64_t{1} << (at % 64);
  }
  return allowed;
}

void cluster::hold_to_labels(search& s) const {
  for (const auto& rule : s.what.where) {
    const auto& allowed = mask_of(rule);
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      s.open[i] &= i < allowed.size() ? allowed[i] : 0;
  }
}

void cluster::heed_taints(search& s) const {
  for (const auto at : tainted_)
    for (const auto& each : shapes_[at].taints) {
      if (tolerates(s.what.tolerate, each))
        continue;
      if (each.effect == taint_effect::avoid)
        s.avoided.push_back(at);
      else
        clear_bit(s.open, at);
    }
}

void cluster::prefer_cheap(search& s) const {
  if (s.weights[price] == 0)
    return;
  if (!priced_) {
    auto prices = std::vector<double>(shapes_.size(), 0);
    auto dearest = 0.0;
    for (const auto& [name, at] : slots_)
      if (const auto label = shapes_[at].labels.find("price"); label != shapes_[at].labels.end()) {
        prices[at] = std::max(0.0, std::strtod(label->second.c_str(), nullptr));
        dearest = std::max(dearest, std::isfinite(prices[at]) ? prices[at] : 0.0);
      }
    // Chosen: steps of a sixteenth of the dearest; the groups of equals stay few.
    constexpr auto steps = 16;
    auto groups = std::map<int, mask>{};
    for (const auto& [name, at] : slots_) {
      const auto part = dearest > 0 ? std::min(prices[at] / dearest, 1.0) : 0.0;
      auto& group = groups[static_cast<int>(std::lround(part * steps))];
      group.resize((shapes_.size() + 63) / 64);
      group[at / 64] |= std::uint64_t{1} << (at % 64);
    }
    for (auto& [step, group] : groups)
      prices_.emplace_back(std::move(group), 1 - static_cast<float>(step) / steps);
    priced_ = true;
  }
  for (const auto& [where, cheap] : prices_)
    s.bonuses.push_back({&where, feature::price, cheap, s.weights[price] * cheap});
}

void cluster::prefer_other_zones(search& s) const {
  if (s.weights[zones] == 0)
    return;
  const auto& column = domains_of("zone");
  auto counts = std::vector<std::uint32_t>(column.count, 0);
  if (s.own)
    for (const auto& [at, count] : *s.own)
      if (column.of[at] >= 0)
        counts[static_cast<std::size_t>(column.of[at])] += count;
  for (auto d = std::size_t{0}; d < column.members.size(); ++d) {
    const auto value = 1.0f / static_cast<float>(1 + counts[d]);
    s.bonuses.push_back({&column.members[d], feature::zones, value, s.weights[zones] * value});
  }
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
    if (rule.prefer) {
      prefer_even(s, column, counts, least);
      continue;
    }
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

/// The fewer of the workload a domain has beyond the emptiest one, the better.
void cluster::prefer_even(search& s, const domain_column& column, const std::vector<std::int64_t>& counts,
                          std::int64_t least) const {
  // Chosen: beyond that they are all the same.
  constexpr auto levels_max = std::int64_t{15};
  auto levels = std::map<std::int64_t, mask>{};
  for (auto at = std::size_t{0}; at < column.of.size(); ++at)
    if (column.of[at] >= 0) {
      const auto beyond = counts[static_cast<std::size_t>(column.of[at])] - least;
      auto& level = levels[std::clamp<std::int64_t>(beyond, 0, levels_max)];
      level.resize(s.open.size());
      level[at / 64] |= std::uint64_t{1} << (at % 64);
    }
  for (auto& [beyond, where] : levels)
    wish(s, std::move(where), part_of_wish(s.what) / static_cast<float>(1 + beyond));
}

void cluster::wish(search& s, mask where, float part) const {
  const auto& kept = s.own_masks.emplace_back(std::move(where));
  s.bonuses.push_back({&kept, feature::prefer, part, s.weights[feature::prefer] * part});
}

/// The nodes that share a value of `over` with one where somebody is.
cluster::mask cluster::around(const presence& who, const std::string& over) const {
  auto found = mask(ready_.size(), 0);
  const auto add = [&](std::size_t at) { found[at / 64] |= std::uint64_t{1} << (at % 64); };
  if (over == "node") {
    for (const auto& [at, count] : who)
      add(at);
    return found;
  }
  const auto& column = domains_of(over);
  auto inside = std::vector<bool>(column.count, false);
  for (const auto& [at, count] : who)
    if (column.of[at] >= 0)
      inside[static_cast<std::size_t>(column.of[at])] = true;
  for (auto at = std::size_t{0}; at < column.of.size(); ++at)
    if (column.of[at] >= 0 && inside[static_cast<std::size_t>(column.of[at])])
      add(at);
  return found;
}

bool cluster::is_around(slot at, const std::string& who, const std::string& over) const {
  const auto found = present_.find(who);
  if (found == present_.end())
    return false;
  if (over == "node")
    return found->second.count(at) > 0;
  const auto& of = domains_of(over).of;
  return of[at] >= 0 && std::ranges::any_of(found->second, [&](const auto& x) { return of[x.first] == of[at]; });
}

void cluster::forbid_apart(search& s) const {
  const auto forbid = [&](const std::string& who, const std::string& over) {
    const auto found = present_.find(who);
    if (found == present_.end() || found->second.empty())
      return;
    if (over == "node") {
      for (const auto& [at, count] : found->second)
        clear_bit(s.open, at);
      return;
    }
    const auto there = around(found->second, over);
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      s.open[i] &= ~there[i];
  };
  for (const auto& x : s.what.apart) {
    if (!x.prefer) {
      forbid(presence_of(x.who), x.over);
      continue;
    }
    const auto found = present_.find(presence_of(x.who));
    auto away = found == present_.end() ? mask(s.open.size(), 0) : around(found->second, x.over);
    for (auto& word : away)
      word = ~word;
    wish(s, std::move(away), part_of_wish(s.what));
  }
  for (const auto& over : apart_over_) {
    forbid(refusal_of(s.what.workload, over), over);
    for (const auto& label : s.what.labels)
      forbid(refusal_of(label, over), over);
  }
  for (const auto& claim : s.what.claims)
    forbid(claim, "node");
}

void cluster::demand_near(search& s) const {
  for (const auto& x : s.what.near) {
    const auto found = present_.find(presence_of(x.who));
    const auto somewhere = found != present_.end() && !found->second.empty();
    // The first of those who want to be together may go anywhere.
    if (!somewhere && is_itself(s.what, x))
      continue;
    auto there = somewhere ? around(found->second, x.over) : mask(s.open.size(), 0);
    if (x.prefer) {
      wish(s, std::move(there), part_of_wish(s.what));
      continue;
    }
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      s.open[i] &= there[i];
  }
}

/// By the model of the devices and by extensible resources; the scan knows neither.
void cluster::narrow_by_devices(search& s) const {
  const auto& need = s.what.need;
  if (need.gpu_milli > 0 && !need.gpu_model.empty()) {
    auto able = node_bits(s.open.size(), 0);
    for (const auto model : models_in(need.gpu_model))
      if (const auto found = model_masks_.find(std::string{model}); found != model_masks_.end())
        for (auto i = std::size_t{0}; i < std::min(able.size(), found->second.size()); ++i)
          able[i] |= found->second[i];
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      s.open[i] &= able[i];
  }
  for (const auto& [name, count] : need.extra) {
    const auto found = extra_free_.find(name);
    for (auto i = std::size_t{0}; i < s.open.size(); ++i)
      for (auto word = s.open[i]; word != 0; word &= word - 1) {
        const auto at = i * 64 + static_cast<std::size_t>(std::countr_zero(word));
        if ((found == extra_free_.end() ? 0 : found->second[at]) < count)
          clear_bit(s.open, at);
      }
  }
}

} // namespace novacron::scheduler
