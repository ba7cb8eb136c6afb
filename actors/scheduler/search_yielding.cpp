#include "actors/scheduler/search.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace novacron::scheduler {
namespace {

/// More are not told apart.
constexpr auto victims_most = std::size_t{255};

} // namespace

/// Each resource for itself: those that hold most of it would go first.
std::uint8_t cluster::least_victims(slot at, const amount& need, std::int32_t priority) const {
  const auto* room = held_.room_at[at];
  if (!room || least_[at] >= priority)
    return 0;
  auto most = std::size_t{1};
  const auto enough = [&](std::int64_t wanted, std::int64_t free, std::int64_t amount::*part) {
    if (wanted <= free || wanted <= 0)
      return true;
    thread_local auto parts = std::vector<std::int64_t>{};
    parts.clear();
    for (const auto* held : room->holds)
      if (held->what.reservation.empty() && held->what.priority < priority)
        parts.push_back(held->what.need.*part);
    std::ranges::make_heap(parts);
    auto count = std::size_t{0};
    for (; !parts.empty() && free < wanted; ++count) {
      std::ranges::pop_heap(parts);
      free += parts.back();
      parts.pop_back();
    }
    most = std::max(most, count);
    return free >= wanted;
  };
  const auto can = enough(need.cpu_milli, cpu_free_[at], &amount::cpu_milli) &&
                   enough(need.memory_bytes, memory_free_[at], &amount::memory_bytes) &&
                   enough(need.disk_bytes, disk_free_[at], &amount::disk_bytes) &&
                   enough(need.gpu_milli, gpu_sum_[at], &amount::gpu_milli);
  // With one, nothing may be lacking that is counted here: a port, a neighbour, or a device of which parts are free.
  return can ? static_cast<std::uint8_t>(std::min(most, victims_most)) : std::uint8_t{0};
}

const cluster::victim_row& cluster::victims_for(const amount& need, std::int32_t priority) const {
  // Chosen: of so many kinds it is kept, one byte for each node.
  constexpr auto kinds_max = std::size_t{64};
  auto key = std::pair{kind_of_need{need.cpu_milli, need.memory_bytes, need.disk_bytes, need.gpu_milli}, priority};
  auto found = victims_.find(key);
  if (found == victims_.end()) {
    if (victims_.size() >= kinds_max)
      victims_.erase(std::ranges::min_element(victims_, {}, [](const auto& each) { return each.second.asked; }));
    found = victims_.try_emplace(key).first;
  }
  auto& row = found->second;
  row.asked = ++rows_asked_;
  const auto look = [&](slot at) { row.least[at] = least_victims(at, need, priority); };
  if (row.least.size() == shapes_.size() && row.seen >= changes_forgotten_) {
    for (auto i = row.seen - changes_forgotten_; i < changes_.size(); ++i)
      look(changes_[i]);
  } else {
    row.least.resize(shapes_.size());
    for (auto at = slot{0}; at < shapes_.size(); ++at)
      look(at);
  }
  row.seen = changes_forgotten_ + changes_.size();
  return row;
}

std::vector<cluster::yielding_node> cluster::yielding(const request& x, std::int32_t priority, std::size_t victims_max,
                                                      std::size_t from, std::size_t count) const {
  rank_names();
  const auto s = prepare(x);
  const auto& row = victims_for(x.need, priority);
  // How many have to go and how important they are, then the name.
  using place = std::pair<std::uint64_t, std::uint64_t>;
  const auto place_of = [&](slot at) {
    const auto importance = static_cast<std::uint32_t>(least_[at]) ^ (std::uint32_t{1} << 31);
    return place{std::uint64_t{row.least[at]} << 32 | importance, std::uint64_t{rank_[at]} << 32 | at};
  };
  const auto end = from + count;
  auto first = std::vector<place>{};
  for (auto i = std::size_t{0}; i < s.open.size(); ++i)
    for (auto word = s.open[i]; word != 0; word &= word - 1) {
      const auto at = static_cast<slot>(i * 64 + static_cast<std::size_t>(std::countr_zero(word)));
      if (row.least[at] == 0 || row.least[at] > victims_max)
        continue;
      const auto each = place_of(at);
      if (first.size() == end && !(each < first.front()))
        continue;
      first.push_back(each);
      std::ranges::push_heap(first);
      if (first.size() > end) {
        std::ranges::pop_heap(first);
        first.pop_back();
      }
    }
  std::ranges::sort_heap(first);
  auto nodes = std::vector<yielding_node>{};
  for (auto i = from; i < first.size(); ++i)
    nodes.push_back({shapes_[static_cast<slot>(first[i].second)].name, static_cast<std::size_t>(first[i].first >> 32)});
  return nodes;
}

} // namespace novacron::scheduler
