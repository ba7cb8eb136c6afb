#include "actors/scheduler/function_pool.hpp"

#include <algorithm>

namespace novacron::scheduler {
namespace {

/// For an instance that did not begin a call. Chosen: it is about to end, or still has calls of a controller before
/// this.
constexpr auto rest = std::chrono::milliseconds{50};

} // namespace

function_pool::function_pool(pool_rules rules, unsigned instances, instant now) : rules_{rules} {
  if (instances > 0)
    peaks_.emplace_back(now + rules_.keep_alive, instances);
}

void function_pool::ready(std::vector<unsigned> ordinals) {
  std::ranges::sort(ordinals);
  ready_ = std::move(ordinals);
  std::erase_if(resting_, [&](const auto& x) { return !std::ranges::binary_search(ready_, x.first); });
}

unsigned function_pool::need() const {
  const auto calls = waiting_.size() + running_.size();
  const auto instances = (calls + rules_.concurrency - 1) / rules_.concurrency;
  return static_cast<unsigned>(std::min<std::size_t>(instances, rules_.instances_max));
}

/// What was needed until now counts on for a while.
void function_pool::note(unsigned before, instant now) {
  if (before <= need())
    return;
  while (!peaks_.empty() && peaks_.back().second <= before)
    peaks_.pop_back();
  peaks_.emplace_back(now + rules_.keep_alive, before);
}

bool function_pool::arrive(call which, instant now) {
  // With a free instance it waits only until `next` is asked.
  const auto free = ready_.size() * rules_.concurrency > running_.size() + waiting_.size();
  if (!free && waiting_.size() >= rules_.waiting_max)
    return false;
  waiting_.push_back({which, now});
  return true;
}

std::optional<std::pair<function_pool::call, unsigned>> function_pool::next(instant now) {
  if (waiting_.empty())
    return {};
  std::erase_if(resting_, [&](const auto& x) { return x.second <= now; });
  const auto most = wanted(now);
  for (const auto ordinal : ready_) {
    // Beyond what is wanted they are about to go.
    if (ordinal >= most)
      break;
    if (busy_[ordinal] >= rules_.concurrency || resting_.contains(ordinal))
      continue;
    const auto [which, since] = waiting_.front();
    waiting_.pop_front();
    ++busy_[ordinal];
    running_[which] = {ordinal, since};
    return std::pair{which, ordinal};
  }
  return {};
}

void function_pool::ended(call which, instant now) {
  const auto before = need();
  const auto found = running_.find(which);
  if (found == running_.end())
    return;
  if (--busy_[found->second.ordinal] == 0)
    busy_.erase(found->second.ordinal);
  running_.erase(found);
  note(before, now);
}

void function_pool::lost(call which, instant now) {
  if (const auto found = running_.find(which); found != running_.end())
    resting_[found->second.ordinal] = now + rest;
  ended(which, now);
}

void function_pool::returned(call which, instant now) {
  const auto found = running_.find(which);
  if (found == running_.end())
    return;
  const auto [ordinal, since] = found->second;
  if (--busy_[ordinal] == 0)
    busy_.erase(ordinal);
  running_.erase(found);
  waiting_.push_front({which, since});
  resting_[ordinal] = now + rest;
}

std::vector<function_pool::call> function_pool::give_up(instant now) {
  const auto before = need();
  auto gone = std::vector<call>{};
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto over = at->since + rules_.patience <= now;
    if (over)
      gone.push_back(at->which);
    at = over ? waiting_.erase(at) : std::next(at);
  }
  note(before, now);
  return gone;
}

unsigned function_pool::wanted(instant now) {
  while (!peaks_.empty() && peaks_.front().first <= now)
    peaks_.pop_front();
  const auto lately = peaks_.empty() ? 0u : peaks_.front().second;
  return std::clamp(std::max(need(), lately), rules_.instances_min,
                    std::max(rules_.instances_min, rules_.instances_max));
}

std::optional<instant> function_pool::wake() const {
  auto soonest = std::optional<instant>{};
  const auto consider = [&](instant x) { soonest = soonest ? std::min(*soonest, x) : x; };
  if (!peaks_.empty())
    consider(peaks_.front().first);
  if (!waiting_.empty()) {
    consider(std::ranges::min(waiting_, {}, &waiting_call::since).since + rules_.patience);
    for (const auto& [ordinal, until] : resting_)
      consider(until);
  }
  return soonest;
}

} // namespace novacron::scheduler
