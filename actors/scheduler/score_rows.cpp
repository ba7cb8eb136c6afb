#include "actors/scheduler/search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: rows take at most about so many bytes; the one that was not asked for the longest goes first.
constexpr auto row_bytes_max = std::size_t{64} << 20;
constexpr auto rows_min = std::size_t{16};
/// Chosen: a node counts as crowded at this many instances, however small they are.
constexpr float guests_soft_max = 256;
/// Chosen: so many kinds are counted at most; the rare ones that come later are not expected.
constexpr auto seen_max = std::size_t{4096};
/// The first sample that is worth learning from; learned anew whenever it has doubled.
constexpr auto sample_min = std::uint64_t{64};

/// Equal losses must compare equal whatever the order of additions was: they are counted in steps of four millionths,
/// which a float still tells apart beside every other feature.
float in_steps(double x) {
  constexpr auto step = 1.0 / (1 << 18);
  return static_cast<float>(std::round(x / step) * step);
}

part_weights parts_of(const features& weights) {
  const auto base = part_weights{};
  const auto all = static_cast<double>(weights[whole]);
  return {base.shares * all, base.usable * all + static_cast<double>(weights[usable]),
          base.starved * all + static_cast<double>(weights[starved]),
          base.idle * all + static_cast<double>(weights[idle])};
}

} // namespace

void cluster::expect(std::vector<expected_request> mix) {
  mix_ = fragmentation{std::move(mix)};
  expects_ = true;
  rows_.clear();
  parts_version_.clear();
}

void cluster::count_seen(const amount& need) {
  if (expects_)
    return;
  ++seen_count_;
  if (need.gpu_milli <= 0) {
    ++seen_without_;
    return;
  }
  const auto kind = std::pair{kind_of_need{need.cpu_milli, need.memory_bytes, 0, need.gpu_milli}, need.gpu_model};
  if (const auto found = seen_.find(kind); found != seen_.end())
    ++found->second;
  else if (seen_.size() < seen_max)
    seen_.emplace(kind, 1);
}

void cluster::learn_mix() const {
  if (expects_ || seen_count_ < sample_min || seen_count_ < 2 * learned_count_)
    return;
  learned_count_ = seen_count_;
  auto mix = std::vector<expected_request>{{0, 0, 0, {}, static_cast<double>(seen_without_)}};
  for (const auto& [kind, count] : seen_) {
    const auto& [cpu, memory, disk, gpu] = kind.first;
    mix.push_back({cpu, memory, gpu, kind.second, count});
  }
  mix_ = fragmentation{std::move(mix)};
  rows_.clear();
  parts_version_.clear();
}

void cluster::scan_columns::resize(std::size_t size) {
  for (auto* column : {&cpu_unit, &memory_unit, &gpu_unit, &cpu, &memory, &disk, &crowd, &share, &whole, &gpus})
    column->resize(size);
}

node_columns cluster::scan_columns::view() const {
  return {cpu.data(),      memory.data(), disk.data(),  cpu_unit.data(), memory_unit.data(),
          gpu_unit.data(), crowd.data(),  share.data(), gpus.data(),     nullptr};
}

void cluster::refresh_scan(slot at) {
  scan_.cpu[at] = static_cast<float>(cpu_free_[at]);
  scan_.memory[at] = static_cast<float>(memory_free_[at]);
  scan_.disk[at] = static_cast<float>(disk_free_[at]);
  scan_.crowd[at] = static_cast<float>(guests_[at]) * (1 / guests_soft_max);
  scan_.share[at] = static_cast<float>(gpu_share_[at]);
  scan_.whole[at] = static_cast<float>(gpu_whole_[at] * 1000);
  scan_.gpus[at] = static_cast<float>(gpu_sum_[at]);
  scan_nodes_[at] = {scan_.cpu_unit[at], scan_.memory_unit[at], scan_.gpu_unit[at], scan_.cpu[at],   scan_.memory[at],
                     scan_.disk[at],     scan_.crowd[at],       scan_.share[at],    scan_.whole[at], scan_.gpus[at]};
}

void cluster::note_change(slot at) {
  refresh_scan(at);
  ++version_[at];
  // A row that is further behind than this scans all nodes sooner than it follows the changes.
  if (changes_.size() >= std::max<std::size_t>(4096, shapes_.size())) {
    changes_forgotten_ += changes_.size();
    changes_.clear();
  }
  changes_.push_back(at);
}

void cluster::make_room_for_row() const {
  const auto bytes = std::max<std::size_t>(1, shapes_.size() * (2 * sizeof(float) + sizeof(std::uint32_t) + 1));
  if (rows_.size() < std::max(rows_min, row_bytes_max / bytes))
    return;
  rows_.erase(std::ranges::min_element(rows_, {}, [](const auto& x) { return x.second.asked; }));
}

const cluster::score_row& cluster::row_for(const amount& need, const features& weights) const {
  if (heeds_mix(weights))
    learn_mix();
  const auto key = std::pair{kind_of_need{need.cpu_milli, need.memory_bytes, need.disk_bytes, need.gpu_milli}, weights};
  auto found = rows_.find(key);
  if (found == rows_.end()) {
    make_room_for_row();
    found = rows_.try_emplace(key).first;
  }
  found->second.asked = ++rows_asked_;
  bring_up_to_date(found->second, need, weights);
  return found->second;
}

void cluster::bring_up_to_date(score_row& row, const amount& need, const features& weights) const {
  const auto size = shapes_.size();
  const auto now = changes_forgotten_ + changes_.size();
  const auto known = row.score.size() == size && row.seen >= changes_forgotten_;
  if (known && row.seen == now)
    return;
  const auto heeding = heeds_mix(weights);
  if (heeding)
    refresh_losses(row, need, weights, !known);
  const auto wants_gpu = need.gpu_milli > 0;
  const auto base = weights[feature::spread] + weights[fresh];
  const auto x = scan_question{static_cast<float>(need.cpu_milli),
                               static_cast<float>(need.memory_bytes),
                               static_cast<float>(need.disk_bytes),
                               static_cast<float>(need.gpu_milli),
                               weights[room],
                               weights[evenness],
                               base + (wants_gpu ? weights[reserve] : 0),
                               base + (wants_gpu ? 0 : weights[reserve]),
                               1};
  // Measured: one node costs as much as about fifty in a scan of all.
  if (!known || now - row.seen > 16 + size / 50) {
    row.score.resize(size);
    row.greatest.resize((size + 63) / 64);
    auto columns = scan_.view();
    if (need.gpu_milli >= 1000)
      columns.gpu_room = scan_.whole.data();
    columns.loss = heeding ? row.loss.data() : nullptr;
    score_nodes(columns, x, 0, size, row.score.data());
    greatest_of_blocks(row.score, row.greatest);
  } else {
    follow_changes(row, x, need.gpu_milli >= 1000, heeding);
  }
  row.seen = now;
}

/// Scores the nodes that changed since, gathered into columns of their own.
void cluster::follow_changes(score_row& row, const scan_question& x, bool whole_gpus, bool heeding) const {
  constexpr auto many = std::size_t{64};
  // Not cleared: that would take as long as scoring.
  std::array<std::array<float, many>, 10> column;
  std::array<float, many> scores;
  std::array<std::uint32_t, many> stale;
  const auto view = node_columns{
      column[0].data(), column[1].data(), column[2].data(), column[3].data(), column[4].data(),
      column[5].data(), column[6].data(), column[7].data(), column[8].data(), heeding ? column[9].data() : nullptr};
  stale_.resize((row.greatest.size() + 63) / 64);
  const auto changed = std::span{changes_}.subspan(row.seen - changes_forgotten_);
  for (auto first = std::size_t{0}; first < changed.size(); first += many) {
    const auto part = changed.subspan(first, std::min(many, changed.size() - first));
    for (auto i = std::size_t{0}; i < part.size(); ++i) {
      const auto& node = scan_nodes_[part[i]];
      column[0][i] = node.cpu;
      column[1][i] = node.memory;
      column[2][i] = node.disk;
      column[3][i] = node.cpu_unit;
      column[4][i] = node.memory_unit;
      column[5][i] = node.gpu_unit;
      column[6][i] = node.crowd;
      column[7][i] = whole_gpus ? node.whole : node.share;
      column[8][i] = node.gpus;
      if (heeding)
        column[9][i] = row.loss[part[i]];
    }
    score_nodes(view, x, 0, part.size(), scores.data());
    auto stale_count = std::size_t{0};
    for (auto i = std::size_t{0}; i < part.size(); ++i) {
      const auto before = std::exchange(row.score[part[i]], scores[i]);
      const auto block = part[i] / 64;
      auto& greatest = row.greatest[block];
      if (scores[i] >= greatest) {
        greatest = scores[i];
      } else if (before == greatest && !has_bit(stale_, block)) {
        stale_[block / 64] |= std::uint64_t{1} << (block % 64);
        stale[stale_count++] = block;
      }
    }
    for (const auto block : std::span{stale}.first(stale_count)) {
      clear_bit(stale_, block);
      greatest_of_blocks(
          std::span{row.score}.subspan(block * 64, std::min<std::size_t>(64, row.score.size() - block * 64)),
          {&row.greatest[block], 1});
    }
  }
}

void cluster::refresh_losses(score_row& row, const amount& need, const features& weights, bool all) const {
  const auto heed = parts_of(weights);
  parts_.resize(shapes_.size());
  // No node has version 0 once it was filled: that marks what was never computed.
  parts_version_.resize(shapes_.size(), 0);
  row.loss.resize(shapes_.size());
  row.device.resize(shapes_.size());
  row.version.resize(shapes_.size(), 0);
  const auto refresh = [&](slot at) {
    if (row.version[at] != version_[at])
      refresh_loss(row, need, heed, at);
  };
  if (all)
    for (auto at = slot{0}; at < shapes_.size(); ++at)
      refresh(at);
  else
    std::for_each(changes_.begin() + static_cast<std::ptrdiff_t>(row.seen - changes_forgotten_), changes_.end(),
                  refresh);
}

void cluster::refresh_loss(score_row& row, const amount& need, const part_weights& weights, slot at) const {
  row.version[at] = version_[at];
  row.loss[at] = 0;
  row.device[at] = 0;
  auto devices = gpu_free_[at];
  const auto model = mix_.model_bit(shapes_[at].capacity.gpu_model);
  if (parts_version_[at] != version_[at]) {
    parts_[at] = mix_.parts(cpu_free_[at], memory_free_[at], devices, model);
    parts_version_[at] = version_[at];
  }
  const auto cpu = cpu_free_[at] - need.cpu_milli;
  const auto memory = memory_free_[at] - need.memory_bytes;
  if (cpu < 0 || memory < 0)
    return;
  const auto before = weights.value(parts_[at]);
  const auto change = [&] { return in_steps(weights.value(mix_.parts(cpu, memory, devices, model)) - before); };
  if (need.gpu_milli <= 0 || need.gpu_milli >= 1000) {
    auto wanted = need.gpu_milli / 1000;
    for (auto& free : devices)
      if (wanted > 0 && free >= 1000) {
        free -= 1000;
        --wanted;
      }
    if (wanted == 0)
      row.loss[at] = change();
    return;
  }
  auto best = devices.size();
  for (auto i = std::size_t{0}; i < devices.size() && i <= 255; ++i) {
    const auto free = devices[i];
    // Devices that are equally free are alike: the first stands for all.
    const auto alike = std::find(devices.begin(), devices.begin() + static_cast<std::ptrdiff_t>(i), free);
    if (free < need.gpu_milli || alike != devices.begin() + static_cast<std::ptrdiff_t>(i))
      continue;
    devices[i] -= need.gpu_milli;
    const auto won = change();
    devices[i] = free;
    if (best == devices.size() || won > row.loss[at] || (won == row.loss[at] && free < devices[best])) {
      row.loss[at] = won;
      row.device[at] = static_cast<std::uint8_t>(i);
      best = i;
    }
  }
}

/// What the parts of what is free lose when the request comes to a node, for explanations: the row knows their sum
/// only.
free_parts cluster::parts_lost(const search& s, slot at) const {
  const auto& need = s.what.need;
  auto devices = gpu_free_[at];
  const auto model = mix_.model_bit(shapes_[at].capacity.gpu_model);
  const auto before = mix_.parts(cpu_free_[at], memory_free_[at], devices, model);
  if (need.gpu_milli > 0 && need.gpu_milli < 1000)
    devices[s.row->device[at]] -= need.gpu_milli;
  else if (const auto chosen = choose_gpus(at, need))
    for (const auto device : *chosen)
      devices[device] -= 1000;
  const auto after = mix_.parts(cpu_free_[at] - need.cpu_milli, memory_free_[at] - need.memory_bytes, devices, model);
  return {after.shares - before.shares, after.usable - before.usable, after.starved - before.starved,
          after.idle - before.idle};
}

} // namespace novacron::scheduler
