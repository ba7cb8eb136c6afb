#include "actors/scheduler/preemption.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

namespace novacron::scheduler {
namespace {

/// Chosen: the first node that is tried does most often.
constexpr auto looks_first = std::size_t{4};

using finder = std::function<std::optional<displaceable>(const std::string&)>;

/// Who is less important on a node: lowest priority first, and of equals the greatest, so that few move.
std::vector<std::pair<std::string, hold>> guests_of(const cluster& all, const std::string& node,
                                                    std::int32_t priority) {
  auto here = all.holds_on(node);
  std::erase_if(here, [&](const auto& x) { return !x.second->reservation.empty() || x.second->priority >= priority; });
  const auto order = [](const auto& x) {
    const auto& need = x.second->need;
    return std::tuple{x.second->priority, -need.gpu_milli, -need.cpu_milli, -need.memory_bytes,
                      std::string_view{*x.first}};
  };
  std::ranges::sort(here, {}, order);
  auto guests = std::vector<std::pair<std::string, hold>>{};
  for (const auto& [key, what] : here)
    guests.emplace_back(*key, *what);
  return guests;
}

/// What was changed on trial, and is changed back at the end.
class tentative {
public:
  explicit tentative(cluster& all) : all_{all} {}
  ~tentative() {
    for (const auto& key : taken_)
      all_.release(key);
    for (auto& [key, what] : released_)
      all_.take(key, what);
  }
  tentative(const tentative&) = delete;
  tentative& operator=(const tentative&) = delete;

  void release(const std::string& key, const hold& what) {
    all_.release(key);
    released_.emplace_back(key, what);
  }
  void take(const std::string& key, hold what) {
    all_.take(key, std::move(what));
    taken_.push_back(key);
  }
  /// What was released comes back where it was.
  void restore(const std::string& key) {
    const auto found = std::ranges::find(released_, key, &std::pair<std::string, hold>::first);
    all_.take(key, found->second);
    released_.erase(found);
  }

private:
  cluster& all_;
  std::vector<std::string> taken_;
  std::vector<std::pair<std::string, hold>> released_;
};

struct attempt {
  /// Somebody there may be moved at all.
  bool tried = false;
  std::optional<preemption> found = std::nullopt;
};

struct victim {
  std::string key;
  hold held;
  request wanted;
};

attempt try_on(cluster& all, const request& x, const std::string& node, std::int32_t priority, const finder& find,
               std::size_t victims_max) {
  auto changes = tentative{all};
  auto only_here = x;
  only_here.require["node"] = node;
  auto victims = std::vector<victim>{};
  auto where = std::optional<decision>{};
  for (auto& [key, held] : guests_of(all, node, priority)) {
    auto what = find(key);
    if (!what)
      continue;
    if (victims.size() == victims_max)
      return {true};
    changes.release(key, held);
    victims.push_back({std::move(key), std::move(held), std::move(what->wanted)});
    if ((where = all.place(only_here)))
      break;
  }
  if (!where)
    return {!victims.empty()};
  // Who need not go after all stays: the most important first.
  const auto several = victims.size() > 1;
  for (auto i = victims.size(); i-- > 0 && victims.size() > 1;) {
    changes.restore(victims[i].key);
    if (all.place(only_here))
      victims.erase(victims.begin() + static_cast<std::ptrdiff_t>(i));
    else
      changes.release(victims[i].key, victims[i].held);
  }
  if (several && !(where = all.place(only_here)))
    return {true};
  changes.take("preemption/", hold_of(x, *where));
  auto result = preemption{*where, {}};
  for (const auto& each : victims) {
    const auto other = all.place(each.wanted);
    if (!other || other->node == node)
      return {true};
    changes.take("preemption/" + each.key, hold_of(each.wanted, *other));
    result.victims.push_back({each.key, *other});
  }
  return {true, std::move(result)};
}

} // namespace

std::optional<preemption> preempt(cluster& all, const request& x, std::int32_t priority,
                                  const std::function<std::optional<displaceable>(const std::string& key)>& find,
                                  const preemption_config& settings) {
  // Extensible resources may be what has to be freed.
  auto anywhere = x;
  anywhere.need.extra.clear();
  auto best = std::optional<preemption>{};
  auto trials = std::size_t{0};
  // Where a place was found, nodes where as many would have to move are not tried.
  auto from = std::size_t{0};
  for (auto count = looks_first;; count *= 8) {
    const auto nodes = all.yielding(anywhere, priority, settings.victims_max, from, count);
    for (const auto& node : nodes) {
      if (trials == settings.nodes_max || (best && node.victims >= best->victims.size()))
        return best;
      auto here = try_on(all, x, node.name, priority, find, settings.victims_max);
      trials += here.tried ? 1 : 0;
      if (here.found && (!best || here.found->victims.size() < best->victims.size()))
        best = std::move(here.found);
    }
    from += count;
    if (nodes.size() < count)
      break;
  }
  return best;
}

} // namespace novacron::scheduler
