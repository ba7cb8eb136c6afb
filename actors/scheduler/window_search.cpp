#include "actors/scheduler/window_search.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

namespace novacron::scheduler {
namespace {

/// Values that differ by less are the same sum in another order.
constexpr auto value_step = 1e-9;

/// Some twenty milliseconds on one core for a dozen requests; they need 15,000 at most, and a hundredth of it mostly.
constexpr auto window_steps = std::uint64_t{100'000};

bool same_request(const window_request& one, const window_request& two) {
  return one.need == two.need && one.app == two.app && one.cap == two.cap && one.value == two.value;
}

} // namespace

bool window_search::admits(std::size_t node, const window_request& x) const {
  return fits(x.need, free_[node]) && (x.cap < 0 || held_[node * apps_ + x.app] < x.cap);
}

void window_search::put(std::size_t node, const window_request& x, double sign) {
  for (auto d = std::size_t{0}; d < x.need.size(); ++d)
    free_[node][d] -= sign * x.need[d];
  auto& count = held_[node * apps_ + x.app];
  count = static_cast<std::uint16_t>(sign > 0 ? count + 1 : count - 1);
}

void window_search::order(std::span<const window_request> requests) {
  scale_ = {1, 1, 1};
  for (const auto& x : free_)
    for (auto d = std::size_t{0}; d < x.size(); ++d)
      scale_[d] += std::max(0.0, x[d]);
  weight_.assign(requests.size(), 0);
  for (auto i = std::size_t{0}; i < requests.size(); ++i)
    for (auto d = std::size_t{0}; d < scale_.size(); ++d)
      weight_[i] += requests[i].need[d] / scale_[d];
  order_.resize(requests.size());
  std::iota(order_.begin(), order_.end(), 0U);
  // The dear ones first, so that what is left to gain shrinks fast; among equals the large ones.
  std::ranges::stable_sort(order_, [&](auto one, auto two) {
    const auto& x = requests[one];
    const auto& y = requests[two];
    return std::tuple{-x.value, -weight_[one], x.app, x.cap} < std::tuple{-y.value, -weight_[two], y.app, y.cap};
  });
  sorted_.clear();
  again_.clear();
  for (const auto at : order_) {
    again_.push_back(!sorted_.empty() && same_request(sorted_.back(), requests[at]));
    sorted_.push_back(requests[at]);
  }
  rest_.assign(sorted_.size() + 1, 0);
  for (auto i = sorted_.size(); i-- > 0;)
    rest_[i] = rest_[i + 1] + std::max(0.0, sorted_[i].value);
}

double window_search::bound(std::size_t from) const {
  auto sum = 0.0;
  for (auto i = from; i < sorted_.size(); ++i)
    for (auto node = std::size_t{0}; node < free_.size(); ++node)
      if (admits(node, sorted_[i])) {
        sum += std::max(0.0, sorted_[i].value);
        break;
      }
  return sum;
}

bool window_search::same_node(std::size_t one, std::size_t two) const {
  return free_[one] == free_[two] && std::equal(held_.begin() + static_cast<std::ptrdiff_t>(one * apps_),
                                                held_.begin() + static_cast<std::ptrdiff_t>((one + 1) * apps_),
                                                held_.begin() + static_cast<std::ptrdiff_t>(two * apps_));
}

void window_search::branch(std::size_t at, double value) {
  if (value > best_value_ + value_step) {
    best_value_ = value;
    best_ = now_;
    std::fill(best_.begin() + static_cast<std::ptrdiff_t>(at), best_.end(), -1);
  }
  if (at == sorted_.size() || ++steps_ > steps_max_)
    return;
  if (value + rest_[at] <= best_value_ + value_step || value + bound(at) <= best_value_ + value_step)
    return;
  // Equal requests stand in the order of their nodes; once one is left out, so are the others.
  const auto follows = at > 0 && again_[at] != 0;
  const auto& x = sorted_[at];
  if (!follows || now_[at - 1] >= 0) {
    auto& slots = slots_[at];
    slots.clear();
    for (auto node = follows ? static_cast<std::size_t>(now_[at - 1]) : 0; node < free_.size(); ++node) {
      if (!admits(node, x) || std::ranges::any_of(slots, [&](const auto& s) { return same_node(s.node, node); }))
        continue;
      auto left = 0.0;
      for (auto d = std::size_t{0}; d < scale_.size(); ++d)
        left += (free_[node][d] - x.need[d]) / scale_[d];
      slots.push_back({static_cast<std::uint32_t>(node), left});
    }
    std::ranges::stable_sort(slots, {}, &slot::left);
    for (const auto& s : slots) {
      put(s.node, x, 1);
      now_[at] = static_cast<std::int32_t>(s.node);
      branch(at + 1, value + x.value);
      put(s.node, x, -1);
      if (steps_ > steps_max_ || best_value_ + value_step >= rest_[0])
        return;
    }
  }
  now_[at] = -1;
  branch(at + 1, value);
}

bool window_search::relocate(std::size_t rejected) {
  const auto& x = sorted_[rejected];
  for (auto i = std::size_t{0}; i < sorted_.size(); ++i) {
    if (best_[i] < 0)
      continue;
    const auto node = static_cast<std::size_t>(best_[i]);
    put(node, sorted_[i], -1);
    if (admits(node, x)) {
      put(node, x, 1);
      auto other = std::size_t{0};
      while (other < free_.size() && !admits(other, sorted_[i]))
        ++other;
      if (other < free_.size() || x.value > sorted_[i].value + value_step) {
        best_[rejected] = static_cast<std::int32_t>(node);
        best_[i] = other < free_.size() ? static_cast<std::int32_t>(other) : -1;
        best_value_ += x.value - (best_[i] < 0 ? sorted_[i].value : 0);
        if (best_[i] >= 0)
          put(other, sorted_[i], 1);
        return true;
      }
      put(node, x, -1);
    }
    put(node, sorted_[i], 1);
  }
  return false;
}

/// Moves one placed request aside, or out where it is worth less, for each that found no place.
void window_search::exchange() {
  for (auto i = std::size_t{0}; i < sorted_.size(); ++i)
    if (best_[i] >= 0)
      put(static_cast<std::size_t>(best_[i]), sorted_[i], 1);
  for (auto round = 0, changed = 1; changed != 0 && round < 20; ++round) {
    changed = 0;
    for (auto i = std::size_t{0}; i < sorted_.size(); ++i)
      if (best_[i] < 0 && sorted_[i].value > 0)
        changed |= int{relocate(i)};
  }
}

window_search::result window_search::solve(std::span<const window_amount> nodes, std::span<const std::uint16_t> held,
                                           std::size_t apps, std::span<const window_request> requests,
                                           std::uint64_t steps_max) {
  apps_ = apps;
  free_.assign(nodes.begin(), nodes.end());
  held_.assign(held.begin(), held.end());
  order(requests);
  now_.assign(requests.size(), -1);
  best_ = now_;
  best_value_ = 0;
  slots_.resize(std::max(slots_.size(), requests.size()));
  steps_ = 0;
  steps_max_ = steps_max;
  branch(0, 0);
  const auto exact = steps_ <= steps_max_;
  if (!exact)
    exchange();
  answer_.assign(requests.size(), -1);
  for (auto i = std::size_t{0}; i < order_.size(); ++i)
    answer_[order_[i]] = best_[i];
  return {best_value_, exact};
}

namespace {

/// Numbers of apps run through a whole file; the window needs its own only. The least cap of an app counts for all.
window_search::result search(window_search& by, const window& x, std::uint64_t steps_max) {
  auto names = std::vector<std::uint32_t>{};
  auto caps = std::vector<std::int32_t>{};
  auto requests = x.requests;
  for (auto& r : requests) {
    const auto at = static_cast<std::size_t>(std::ranges::find(names, r.app) - names.begin());
    if (at == names.size()) {
      names.push_back(r.app);
      caps.push_back(r.cap);
    }
    if (r.cap >= 0)
      caps[at] = caps[at] < 0 ? r.cap : std::min(caps[at], r.cap);
    r.app = static_cast<std::uint32_t>(at);
  }
  for (auto& r : requests)
    r.cap = caps[r.app];
  const auto held = std::vector<std::uint16_t>(x.nodes.size() * names.size());
  return by.solve(x.nodes, held, names.size(), requests, steps_max);
}

} // namespace

window_choices place_window(const window& x) {
  auto by = window_search{};
  const auto looks = std::max<std::size_t>(1, x.nodes.size() * x.requests.size());
  search(by, x, std::clamp<std::uint64_t>(window_steps * 84 / looks, 100, window_steps));
  return by.choices();
}

double window_optimum(const window& x) {
  auto by = window_search{};
  return search(by, x, std::numeric_limits<std::uint64_t>::max()).value;
}

} // namespace novacron::scheduler
