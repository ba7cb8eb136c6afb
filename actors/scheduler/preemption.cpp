#include "actors/scheduler/preemption.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace novacron::scheduler {
namespace {

struct candidate {
  std::string key;
  displaceable what;
  hold held;
};

struct trial {
  std::string node;
  /// Lowest priority first, and of equals the greatest, so that few move.
  std::vector<candidate> guests;
};

std::optional<trial> look_at(const cluster& all, const std::string& node, std::int32_t priority,
                             const std::function<std::optional<displaceable>(const std::string&)>& find) {
  auto found = trial{node, {}};
  for (const auto& key : all.held_on(node))
    if (auto what = find(key); what && what->priority < priority)
      found.guests.push_back({key, std::move(*what), *all.find_hold(key)});
  if (found.guests.empty())
    return std::nullopt;
  std::ranges::sort(found.guests, [](const candidate& a, const candidate& b) {
    return std::tuple{a.what.priority, -a.held.need.gpu_milli, -a.held.need.cpu_milli, -a.held.need.memory_bytes,
                      a.key} < std::tuple{b.what.priority, -b.held.need.gpu_milli, -b.held.need.cpu_milli,
                                          -b.held.need.memory_bytes, b.key};
  });
  return found;
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

  void release(const candidate& x) {
    all_.release(x.key);
    released_.emplace_back(x.key, x.held);
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

std::optional<preemption> attempt(cluster& all, const request& x, const trial& here, std::size_t victims_max) {
  auto changes = tentative{all};
  auto only_here = x;
  only_here.require["node"] = here.node;
  auto victims = std::vector<const candidate*>{};
  auto where = std::optional<decision>{};
  for (const auto& victim : here.guests) {
    if (victims.size() == victims_max)
      return std::nullopt;
    changes.release(victim);
    victims.push_back(&victim);
    if ((where = all.place(only_here)))
      break;
  }
  if (!where)
    return std::nullopt;
  // Who need not go after all stays: the most important first.
  for (auto i = victims.size(); i-- > 0 && victims.size() > 1;) {
    const auto* victim = victims[i];
    changes.restore(victim->key);
    if (const auto still = all.place(only_here)) {
      where = still;
      victims.erase(victims.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      changes.release(*victim);
    }
  }
  where = all.place(only_here);
  if (!where)
    return std::nullopt;
  constexpr auto self = "preemption/";
  changes.take(self, hold_of(x, *where));
  auto result = preemption{*where, {}};
  for (const auto* victim : victims) {
    const auto other = all.place(victim->what.wanted);
    if (!other || other->node == here.node)
      return std::nullopt;
    changes.take("preemption/" + victim->key, hold_of(victim->what.wanted, *other));
    result.victims.push_back({victim->key, *other});
  }
  return result;
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
  const auto enough = [&] { return trials == settings.nodes_max || (best && best->victims.size() == 1); };
  // First where the least important have to move. Of most others there is nothing to be known: nodes where more would
  // have to move than where a place was found are not tried.
  const auto fewest = [&](const std::string& node) { return all.least_victims(node, anywhere.need, priority); };
  auto from = std::size_t{0};
  for (auto count = settings.nodes_max; !enough(); count *= 8) {
    const auto nodes = all.yielding(anywhere, priority, from, count);
    auto order = std::vector<std::pair<std::size_t, std::size_t>>{};
    for (auto i = std::size_t{0}; i < nodes.size(); ++i)
      if (const auto victims = fewest(nodes[i]); victims && *victims <= settings.victims_max)
        order.emplace_back(*victims, i);
    std::ranges::sort(order);
    for (auto at = order.begin(); at != order.end() && !enough(); ++at) {
      if (best && at->first >= best->victims.size())
        break;
      const auto here = look_at(all, nodes[at->second], priority, find);
      if (!here)
        continue;
      ++trials;
      auto found = attempt(all, x, *here, settings.victims_max);
      if (found && (!best || found->victims.size() < best->victims.size()))
        best = std::move(found);
    }
    from += count;
    if (nodes.size() < count || (best && from >= settings.looks_max))
      break;
  }
  return best;
}

} // namespace novacron::scheduler
