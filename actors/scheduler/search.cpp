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

std::vector<std::string_view> models_in(std::string_view wanted) {
  auto models = std::vector<std::string_view>{};
  while (!wanted.empty()) {
    const auto bar = wanted.find('|');
    models.push_back(wanted.substr(0, bar));
    wanted = bar == wanted.npos ? std::string_view{} : wanted.substr(bar + 1);
  }
  return models;
}

/// Exactly: floats only make a choice, they do not decide whether there is room.
bool cluster::fits(const search& s, slot at) const {
  const auto& need = s.what.need;
  if (cpu_free_[at] < need.cpu_milli || memory_free_[at] < need.memory_bytes || disk_free_[at] < need.disk_bytes)
    return false;
  return need.gpu_milli <= 0 || (need.gpu_milli < 1000 ? gpu_share_[at] : gpu_whole_[at] * 1000) >= need.gpu_milli;
}

features cluster::look(const search& s, slot at) const {
  const auto& need = s.what.need;
  const auto taken = [](float free, std::int64_t wanted, float unit) {
    return 1 - (free - static_cast<float>(wanted)) * unit;
  };
  const auto cpu = taken(scan_.cpu[at], need.cpu_milli, scan_.cpu_unit[at]);
  const auto memory = taken(scan_.memory[at], need.memory_bytes, scan_.memory_unit[at]);
  const auto has_gpus = scan_.gpu_unit[at] > 0;
  auto load = std::max({cpu, memory, scan_.crowd[at]});
  if (need.gpu_milli > 0)
    load = std::max(load, taken(scan_.gpus[at], need.gpu_milli, scan_.gpu_unit[at]));
  auto x = features{};
  x[room] = std::max(1 - load, 0.0f);
  x[evenness] = std::max(1 - std::abs(cpu - memory), 0.0f);
  for (const auto& each : s.bonuses)
    if (each.where && has_bit(*each.where, at))
      x[each.of] += each.value;
  const auto own = s.own ? s.own->count(at) : 0;
  x[feature::spread] = 1.0f / static_cast<float>(1 + own);
  x[reserve] = has_gpus == (need.gpu_milli > 0) ? 1.0f : 0.0f;
  x[fresh] = std::ranges::find(s.avoided, at) == s.avoided.end() ? 1.0f : 0.0f;
  x[feature::home] = at == s.home ? 1.0f : 0.0f;
  if (heeds_mix(s.weights)) {
    const auto lost = parts_lost(s, at);
    x[whole] = static_cast<float>(part_weights{}.value(lost));
    x[usable] = static_cast<float>(lost.usable);
    x[starved] = static_cast<float>(-lost.starved);
    x[idle] = static_cast<float>(-lost.idle);
  }
  return x;
}

/// A row counts every node as one without instances of this workload, not avoided and not home.
void cluster::adjust_single_nodes(search& s) const {
  const auto adjust = [&](slot at, float by) {
    if (adjust_[at] == 0)
      s.adjusted.push_back(at);
    adjust_[at] += by;
  };
  for (const auto at : s.avoided)
    adjust(at, -s.weights[fresh]);
  if (s.home < shapes_.size())
    adjust(s.home, s.weights[feature::home]);
  s.adjust_max = std::max(0.0f, -s.weights[feature::spread]);
}

namespace {

/// What instances of the same workload take from the score of a node, which counts as one without any.
float crowding(float weight, std::uint32_t own) {
  return weight * (1.0f / static_cast<float>(1 + own) - 1);
}

} // namespace

float cluster::total(const search& s, slot at) const {
  auto bonus = 0.0f;
  for (const auto& each : s.bonuses)
    if (each.where && has_bit(*each.where, at))
      bonus += each.weight;
  const auto score = s.row->score[at] + bonus + adjust_[at];
  return s.own ? score + crowding(s.weights[feature::spread], s.own->count(at)) : score;
}

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

/// The best of the open nodes in `within` (null for all), all of which get the same bonus, when it is better than
/// `best`.
void cluster::best_within(const search& s, const mask* within, float bonus, std::optional<slot>& best,
                          float& best_score) const {
  const auto& row = *s.row;
  const auto& open = within ? *within : s.open;
  const auto crowded = s.weights[feature::spread];
  const auto look_into = [&](std::size_t block) {
    const auto first = static_cast<slot>(block * 64);
    const auto scores = std::span{row.score}.subspan(first, std::min<std::size_t>(64, row.score.size() - first));
    auto word = open[block] & reaching(scores, &adjust_[first], bonus, s.adjust_max, best_score);
    for (; word != 0; word &= word - 1) {
      const auto at = first + static_cast<slot>(std::countr_zero(word));
      auto score = row.score[at] + bonus + adjust_[at];
      if (score + s.adjust_max < best_score)
        continue;
      // Looked up only where it could matter: a workload may have thousands of instances.
      if (s.own)
        score += crowding(crowded, s.own->count(at));
      if (score > best_score || (score == best_score && best && rank_[at] < rank_[*best])) {
        best = at;
        best_score = score;
      }
    }
  };
  const auto blocks_from = [&](std::size_t first) {
    return std::span{row.greatest}.subspan(first, std::min<std::size_t>(64, open.size() - first));
  };
  // The most promising block first: what it has is mostly better than all that the others could have.
  auto promising = open.size();
  auto promise = -std::numeric_limits<float>::infinity();
  for (auto first = std::size_t{0}; first < open.size(); first += 64) {
    const auto blocks = blocks_from(first);
    auto top = 0.0f;
    greatest_of_blocks(blocks, {&top, 1});
    if (!(top > promise))
      continue;
    // Mostly it is the first one that has the most; only where that is closed all are looked at.
    const auto most = first + static_cast<std::size_t>(std::countr_zero(reaching(blocks, nullptr, 0, 0, top)));
    for (auto i = open[most] != 0 ? most : first; i < first + blocks.size(); ++i)
      if (row.greatest[i] > promise && open[i] != 0) {
        promise = row.greatest[i];
        promising = i;
        if (promise == top)
          break;
      }
  }
  if (promising == open.size())
    return;
  look_into(promising);
  // Among equals the first name wins: where slots are in that order, nothing behind the best can, unless it is better.
  const auto able_from = [&](std::size_t first) {
    const auto blocks = blocks_from(first);
    if (!in_order_ || !best || *best / 64 >= first + 63)
      return reaching(blocks, nullptr, bonus, s.adjust_max, best_score);
    const auto better = std::nextafter(best_score, std::numeric_limits<float>::infinity());
    const auto able = reaching(blocks, nullptr, bonus, s.adjust_max, better);
    if (*best / 64 < first)
      return able;
    const auto before = (std::uint64_t{2} << (*best / 64 - first)) - 1;
    return able | (before & reaching(blocks, nullptr, bonus, s.adjust_max, best_score));
  };
  for (auto first = std::size_t{0}; first < open.size(); first += 64)
    for (auto able = able_from(first); able != 0; able &= able - 1) {
      const auto i = first + static_cast<std::size_t>(std::countr_zero(able));
      const auto bound = row.greatest[i] + bonus + s.adjust_max;
      if (bound < best_score || open[i] == 0 || i == promising || bound == -std::numeric_limits<float>::infinity())
        continue;
      if (bound == best_score && in_order_ && best && *best < i * 64)
        continue;
      look_into(i);
    }
}

std::optional<cluster::slot> cluster::best_of(const search& s) const {
  auto best = std::optional<slot>{};
  auto best_score = -std::numeric_limits<float>::infinity();
  if (s.home < shapes_.size() && has_bit(s.open, s.home))
    if (const auto score = total(s, s.home); score > best_score) {
      best = s.home;
      best_score = score;
    }
  if (s.bonuses.empty()) {
    best_within(s, nullptr, 0, best, best_score);
    return best;
  }
  // Nodes that get the same bonuses are compared among themselves; so the bounds of the blocks stay sharp.
  auto groups = std::vector<std::pair<mask, float>>{{s.open, 0.0f}};
  for (const auto& each : s.bonuses) {
    const auto* where = each.where;
    if (!where)
      continue;
    for (auto group = groups.size(); group-- > 0;) {
      auto with = groups[group];
      auto any = std::uint64_t{0};
      for (auto i = std::size_t{0}; i < with.first.size(); ++i) {
        with.first[i] &= i < where->size() ? (*where)[i] : 0;
        groups[group].first[i] &= ~with.first[i];
        any |= with.first[i];
      }
      with.second += each.weight;
      if (any != 0)
        groups.push_back(std::move(with));
    }
    // Else many wishes would leave more empty groups than there are nodes.
    std::erase_if(groups, [](const auto& group) { return std::ranges::all_of(group.first, std::logical_not{}); });
  }
  std::ranges::stable_sort(groups, std::greater{}, &std::pair<mask, float>::second);
  for (const auto& [within, bonus] : groups)
    best_within(s, &within, bonus, best, best_score);
  return best;
}

std::optional<decision> cluster::place(const request& x) const {
  rank_names();
  auto s = prepare(x);
  adjust_single_nodes(s);
  auto best = best_of(s);
  // Two amounts may differ and still round to the same float.
  while (best && !fits(s, *best)) {
    clear_bit(s.open, *best);
    best = best_of(s);
  }
  const auto score = best ? total(s, *best) : 0;
  for (const auto at : s.adjusted)
    adjust_[at] = 0;
  if (!best)
    return std::nullopt;
  decided_ = *best;
  auto gpus = *choose_gpus(*best, x.need);
  if (heeds_mix(s.weights) && x.need.gpu_milli > 0 && x.need.gpu_milli < 1000)
    gpus.front() = s.row->device[*best];
  return decision{shapes_[*best].name, std::move(gpus), score};
}

std::optional<double> cluster::score_on(const request& x, const std::string& node) const {
  const auto found = slots_.find(node);
  if (found == slots_.end())
    return std::nullopt;
  auto s = prepare(x);
  adjust_single_nodes(s);
  const auto at = found->second;
  const auto able = has_bit(s.open, at) && fits(s, at);
  const auto score = able ? std::optional<double>{total(s, at)} : std::nullopt;
  for (const auto each : s.adjusted)
    adjust_[each] = 0;
  return score;
}

std::vector<std::string> cluster::open_to(const request& x) const {
  rank_names();
  const auto s = prepare(x);
  auto names = std::vector<std::string>{};
  for (const auto& [name, at] : slots_)
    if (has_bit(s.open, at))
      names.push_back(name);
  return names;
}

} // namespace novacron::scheduler
