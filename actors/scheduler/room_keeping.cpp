#include "actors/scheduler/reconcile_round.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: for the members of a larger gang room is kept in turns.
constexpr auto places_max = std::size_t{64};

std::string place_key(std::size_t number) {
  // No instance is called so.
  return "kept/" + std::to_string(number);
}

/// The part of the capacity that would still have to become free.
double lacking(const amount& capacity, const amount& free, const amount& need) {
  const auto part = [](std::int64_t has, std::int64_t wants, std::int64_t all) {
    return all <= 0 ? 0.0 : std::max(0.0, static_cast<double>(wants - has) / static_cast<double>(all));
  };
  return part(free.cpu_milli, need.cpu_milli, capacity.cpu_milli) +
         part(free.memory_bytes, need.memory_bytes, capacity.memory_bytes) +
         part(free.disk_bytes, need.disk_bytes, capacity.disk_bytes) +
         part(free.gpu_milli, need.gpu_milli, capacity.gpu_milli);
}

/// All that is needed, also where it is not free yet: the node is closed to others until it is.
hold all_of(const amount& need, const std::vector<std::int64_t>& devices, const std::string& node) {
  auto x = hold{};
  x.node = node;
  x.need = need;
  const auto wanted = static_cast<std::size_t>(need.gpu_milli < 1000 ? need.gpu_milli > 0 : need.gpu_milli / 1000);
  auto order = std::vector<std::uint32_t>(devices.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, std::greater{}, [&](std::uint32_t each) { return devices[each]; });
  order.resize(std::min(order.size(), wanted));
  x.gpus = std::move(order);
  return x;
}

} // namespace

/// Whose turn it is before all others of the same or a lower priority: who found no room for too long, the most
/// important and then the longest; none when nobody could be helped.
std::optional<std::string> reconciler::overdue(const round& r) const {
  auto best = std::optional<std::string>{};
  auto best_rank = std::pair{std::int32_t{0}, instant{}};
  for (const auto& [name, since] : roomless_since_) {
    const auto* record = truth_.find_workload(name);
    if (!record || r.now - since < settings_.overdue_after || hopeless_.contains(name))
      continue;
    const auto rank = std::pair{-record->spec().priority(), since};
    if (!best || rank < best_rank) {
      best = name;
      best_rank = rank;
    }
  }
  return best;
}

void reconciler::give_room_back() {
  for (auto i = std::size_t{0}; i < kept_on_.size(); ++i)
    cluster_.release(place_key(i));
}

/// Takes its room on the nodes that were chosen for an overdue workload, so that what becomes free there is not taken by
/// others; chooses them first where that is to be done.
void reconciler::keep_room(const std::string& workload, std::size_t places) {
  const auto& spec = truth_.find_workload(workload)->spec();
  const auto wanted = wanted_for(spec, "");
  places = std::min(places, places_max);
  const auto stands = [&](const std::string& node) {
    const auto* shape = cluster_.find_node(node);
    return shape && shape->state == node_state::ready && fits_empty(open_capacity(node, wanted), wanted.need);
  };
  if (kept_for_ != workload || kept_on_.size() != places || !std::ranges::all_of(kept_on_, stands)) {
    kept_for_ = workload;
    kept_on_ = choose_nodes(wanted, places);
    if (kept_on_.size() < places) {
      // Not even the empty cluster could hold it: whoever comes next is not to wait for that.
      hopeless_.insert(workload);
      kept_on_.clear();
    }
  }
  for (auto i = std::size_t{0}; i < kept_on_.size(); ++i) {
    const auto& node = kept_on_[i];
    cluster_.take(place_key(i), all_of(wanted.need, cluster_.gpus_on(node), node));
  }
}

/// A job ran to its end: the next one like it is expected to run as long.
void reconciler::note_run_time(const wire::Instance& before, const wire::Instance& now) {
  const auto ended = now.outcome() == wire::PHASE_COMPLETED && before.outcome() == wire::PHASE_UNSPECIFIED;
  if (const auto* record = leads_ && ended && now.placed_ms() > 0 ? truth_.find_workload(now.workload()) : nullptr)
    run_times_.note(record->spec(), now_ms_ - now.placed_ms());
}

/// When an instance is expected to end; none where that is not known, as of a service, which ends never.
std::optional<std::int64_t> reconciler::ends_in(const std::string& instance) const {
  const auto* x = truth_.find_instance(instance);
  const auto* record = x ? truth_.find_workload(x->workload()) : nullptr;
  if (!record)
    return std::nullopt;
  if (record->stopped() || x->outcome() != wire::PHASE_UNSPECIFIED)
    return 0;
  return record->spec().kind() == wire::WORKLOAD_KIND_BATCH ? run_times_.left(record->spec(), now_ms_ - x->placed_ms())
                                                            : std::nullopt;
}

/// When a node is expected to have that much free, as far as it is known what ends there; else the end of time.
std::int64_t reconciler::room_in(const std::string& node, amount free, const amount& need) const {
  if (fits_empty(free, need))
    return 0;
  auto ends = std::vector<std::pair<std::int64_t, const hold*>>{};
  for (const auto& key : cluster_.held_on(node))
    if (const auto end = ends_in(key))
      ends.emplace_back(*end, cluster_.find_hold(key));
  std::ranges::sort(ends, {}, &std::pair<std::int64_t, const hold*>::first);
  for (const auto& [end, held] : ends) {
    change(free, held->need, 1);
    if (fits_empty(free, need))
      return end;
  }
  return std::numeric_limits<std::int64_t>::max();
}

/// The nodes where enough is expected to be free first, one for each place; of those of which that is not known, where
/// least would have to become free. Fewer where there are not as many.
std::vector<std::string> reconciler::choose_nodes(const request& wanted, std::size_t places) const {
  struct option {
    std::int64_t waits = 0;
    double lacks = 0;
    std::string node;
    amount left;
    amount free;
  };
  auto options = std::vector<option>{};
  // Over which keys no two of them share a value.
  auto alone_over = std::vector<std::string>{};
  for (const auto& each : wanted.apart)
    if (!each.prefer && is_itself(wanted, each))
      alone_over.push_back(each.over);
  if (!wanted.claims.empty())
    alone_over.emplace_back("node");
  for (const auto& node : cluster_.open_to(wanted)) {
    const auto capacity = open_capacity(node, wanted);
    const auto free = cluster_.free_on(node);
    if (fits_empty(capacity, wanted.need))
      options.push_back({room_in(node, free, wanted.need), 0, node, capacity, free});
  }
  const auto share = [&](const std::string& over, const std::string& a, const std::string& b) {
    const auto& one = cluster_.find_node(a)->labels;
    const auto& other = cluster_.find_node(b)->labels;
    const auto found = one.find(over);
    return found != one.end() && other.contains(over) && other.at(over) == found->second;
  };
  auto chosen = std::vector<std::string>{};
  while (chosen.size() < places && !options.empty()) {
    for (auto& each : options)
      each.lacks = lacking(cluster_.find_node(each.node)->capacity, each.free, wanted.need);
    const auto best = std::ranges::min_element(options, {}, [](const option& x) {
      return std::pair{x.waits, x.lacks};
    });
    chosen.push_back(best->node);
    change(best->left, wanted.need, -1);
    change(best->free, wanted.need, -1);
    best->waits = room_in(best->node, best->free, wanted.need);
    const auto node = best->node;
    if (!fits_empty(best->left, wanted.need))
      options.erase(best);
    for (const auto& over : alone_over)
      std::erase_if(options, [&](const option& x) { return share(over, x.node, node); });
  }
  return chosen;
}

} // namespace novacron::scheduler
