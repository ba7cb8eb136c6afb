#include "actors/simulation/agenda.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace novacron::simulation {
namespace {

/// Slots from here on are lanes.
constexpr auto first_lane = 0xFFFF'0000u;
constexpr auto lanes_max = std::size_t{0xFFFF};
/// Chosen: entries of a bucket that are kept for the next ones.
constexpr auto roomy = std::size_t{64};

} // namespace

event::event(std::function<void()> act, life_number whose)
    : raw_{.act = new std::function<void()>{std::move(act)}}, whose{whose}, what_{kind::act} {}

void event::drop() noexcept {
  switch (what_) {
    case kind::act: delete raw_.act; break;
    case kind::message: caf::mailbox_element_ptr{raw_.message}.reset(); break;
    case kind::timeout: delete raw_.timeout; break;
    case kind::mail: delete raw_.mail; break;
    case kind::nothing:
    case kind::request: break;
  }
}

agenda::agenda() = default;
agenda::~agenda() = default;

// -- the order of things ---------------------------------------------------------------------------------------------

void agenda::push(moment when, std::uint32_t slot) {
  ++size_;
  const auto apart = static_cast<std::uint64_t>(when.count() ^ last_.count());
  if (apart == 0)
    return due_.push_back({when, slot});
  const auto level = static_cast<std::size_t>(std::bit_width(apart) - 1) / digit_bits;
  const auto digit = static_cast<std::size_t>(when.count()) >> (level * digit_bits) & (digits - 1);
  auto& into = later_[level][digit];
  if (into.all.empty() || when < into.least)
    into.least = when;
  into.all.push_back({when, slot});
  levels_ |= 1u << level;
  filled_[level] |= static_cast<std::uint16_t>(1u << digit);
}

std::pair<std::size_t, std::size_t> agenda::earliest() const {
  const auto level = static_cast<std::size_t>(std::countr_zero(levels_));
  return {level, static_cast<std::size_t>(std::countr_zero(filled_[level]))};
}

moment agenda::next() const {
  if (taken_ < due_.size())
    return last_;
  const auto [level, digit] = earliest();
  return later_[level][digit].least;
}

agenda::entry agenda::pop() {
  if (taken_ == due_.size()) {
    due_.clear();
    taken_ = 0;
    const auto [level, digit] = earliest();
    auto& from = later_[level][digit];
    last_ = from.least;
    filled_[level] &= static_cast<std::uint16_t>(~(1u << digit));
    if (filled_[level] == 0)
      levels_ &= ~(1u << level);
    size_ -= from.all.size();
    // Most are alone at their time.
    if (from.all.size() == 1) {
      const auto only = from.all.front();
      from.all.clear();
      return only;
    }
    for (const auto& each : from.all)
      push(each.when, each.slot);
    from.all.clear();
    // What many things fell into once need not keep its room.
    if (from.all.capacity() > roomy)
      from.all.shrink_to_fit();
  }
  --size_;
  return due_[taken_++];
}

// -- what it is ------------------------------------------------------------------------------------------------------

void agenda::plan(moment when, event what) {
  auto slot = static_cast<std::uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.push_back(std::move(what));
  } else {
    slot = free_.back();
    free_.pop_back();
    slots_[slot] = std::move(what);
  }
  push(when, slot);
}

void agenda::plan_timeout(moment when, event what) {
  const auto type = what.timeout().type;
  const auto which = key{what.who->id(), static_cast<std::uint64_t>(type)};
  cancel_timeout(which.actor, type);
  const auto slot = free_.empty() ? static_cast<std::uint32_t>(slots_.size()) : free_.back();
  plan(when, std::move(what));
  timeouts_.emplace(which, slot);
}

void agenda::cancel_timeout(std::uint64_t actor, caf::atom_value type) {
  const auto found = timeouts_.find({actor, static_cast<std::uint64_t>(type)});
  if (found == timeouts_.end())
    return;
  // Its place in the order stays until its time; what it held goes now.
  slots_[found->second] = event{};
  timeouts_.erase(found);
}

void agenda::plan_request(moment now, moment wait, life_number whose, caf::strong_actor_ptr who,
                          caf::message_id request) {
  auto found = std::ranges::find(lanes_, wait, &lane::wait);
  if (found == lanes_.end()) {
    // Waits are few, unless somebody draws them.
    if (lanes_.size() == lanes_max)
      return plan(now + wait, event{request, std::move(who), whose});
    lanes_.push_back({wait, {}, 0, false});
    found = std::prev(lanes_.end());
  }
  // Looked at while they are at hand, before more room is taken for them.
  if (found->waiting.size() == found->waiting.capacity())
    clean(*found);
  found->waiting.push_back({now + wait, std::move(who), request, whose});
  if (!std::exchange(found->placed, true))
    push(now + wait, first_lane + static_cast<std::uint32_t>(found - lanes_.begin()));
}

void agenda::clean(lane& which) {
  auto& [wait, all, first, placed] = which;
  for (; first < all.size() && !open(all[first].who, all[first].request); ++first)
    all[first].who.reset();
  // Each that stays is moved once at most, on the average.
  if (first * 2 >= all.size()) {
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(first));
    first = 0;
  }
}

event agenda::take_from(std::uint32_t which) {
  auto& x = lanes_[which];
  x.placed = false;
  clean(x);
  auto due = event{};
  if (x.first < x.waiting.size() && x.waiting[x.first].when <= last_) {
    auto& head = x.waiting[x.first++];
    due = event{head.request, std::move(head.who), head.whose};
    clean(x);
  }
  if (x.first < x.waiting.size()) {
    x.placed = true;
    push(x.waiting[x.first].when, first_lane + which);
  }
  return due;
}

event agenda::take() {
  const auto slot = pop().slot;
  if (slot >= first_lane)
    return take_from(slot - first_lane);
  auto what = std::move(slots_[slot]);
  free_.push_back(slot);
  if (what.what() == event::kind::timeout)
    timeouts_.erase({what.who->id(), static_cast<std::uint64_t>(what.timeout().type)});
  return what;
}

void agenda::clear() {
  for (auto& level : later_)
    for (auto& each : level)
      each.all.clear();
  due_.clear();
  filled_ = {};
  levels_ = 0;
  taken_ = 0;
  size_ = 0;
  timeouts_.clear();
  free_.clear();
  // Ending one thing may plan another.
  auto lanes = std::exchange(lanes_, {});
  auto all = std::exchange(slots_, {});
  lanes.clear();
  all.clear();
}

} // namespace novacron::simulation
