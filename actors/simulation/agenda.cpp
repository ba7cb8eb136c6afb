#include "actors/simulation/agenda.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace novacron::simulation {
namespace {

/// Waits are few, unless somebody draws them.
constexpr auto lanes_max = std::size_t{0xFFFF};

/// What an actor has in front of its own state, and the beginning of that; a message with what it carries.
constexpr auto actor_bytes = std::size_t{1280};
constexpr auto message_bytes = std::size_t{128};

/// Asks the processor for memory.
void fetch_lines(const void* from, std::size_t bytes) {
  for (const auto* at = static_cast<const char*>(from); at < static_cast<const char*>(from) + bytes; at += 64)
    __builtin_prefetch(at);
}

/// For a heap whose first is what comes next.
constexpr auto later = [](const auto& a, const auto& b) { return b.before(a); };

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
    case kind::lane:
    case kind::request: break;
  }
}

void event::fetch() const {
  switch (what_) {
    case kind::message: fetch_lines(raw_.message, message_bytes); [[fallthrough]];
    case kind::timeout: fetch_lines(who.get(), actor_bytes); return;
    case kind::mail: fetch_lines(raw_.mail, sizeof(parcel)); return;
    default: return;
  }
}

agenda::agenda() = default;
agenda::~agenda() = default;

// -- the order of things ---------------------------------------------------------------------------------------------

std::uint32_t agenda::place_at(moment when, event&& what) {
  auto slot = free_;
  if (slot == none) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    free_ = slots_[slot].next;
  }
  auto& x = slots_[slot];
  x.what = std::move(what);
  x.when = when;
  x.order = planned_++;
  const auto bucket = bucket_of(when);
  if (bucket <= turned_) {
    near_.push_back({when, x.order, slot});
    std::ranges::push_heap(near_, later);
  } else if (bucket < turned_ + ring) {
    into_ring(slot);
  } else {
    far_.push_back({when, x.order, slot});
    std::ranges::push_heap(far_, later);
  }
  return slot;
}

void agenda::into_ring(std::uint32_t slot) {
  const auto at = bucket_of(slots_[slot].when) % ring;
  slots_[slot].next = std::exchange(buckets_[at], slot);
  filled_[at / 64] |= std::uint64_t{1} << at % 64;
  ++in_ring_;
}

std::uint64_t agenda::next_bucket() const {
  const auto from = (turned_ + 1) % ring;
  auto word = from / 64;
  auto rest = filled_[word] >> from % 64 << from % 64;
  while (rest == 0) {
    word = (word + 1) % filled_.size();
    rest = filled_[word];
  }
  const auto at = word * 64 + static_cast<std::size_t>(std::countr_zero(rest));
  return turned_ + 1 + (at - from) % ring;
}

void agenda::turn() {
  if (in_ring_ != 0)
    turned_ = next_bucket();
  else if (!far_.empty())
    turned_ = bucket_of(far_.front().when);
  else
    return;
  while (!far_.empty() && bucket_of(far_.front().when) < turned_ + ring) {
    into_ring(far_.front().slot);
    std::ranges::pop_heap(far_, later);
    far_.pop_back();
  }
  const auto at = turned_ % ring;
  filled_[at / 64] &= ~(std::uint64_t{1} << at % 64);
  for (auto slot = std::exchange(buckets_[at], none); slot != none; slot = slots_[slot].next) {
    near_.push_back({slots_[slot].when, slots_[slot].order, slot});
    --in_ring_;
  }
  if (near_.size() > 1)
    std::ranges::make_heap(near_, later);
}

moment agenda::next() {
  if (near_.empty())
    turn();
  return near_.front().when;
}

agenda::entry agenda::pop() {
  if (near_.empty())
    turn();
  const auto first = near_.front();
  if (near_.size() > 1)
    std::ranges::pop_heap(near_, later);
  near_.pop_back();
  last_ = first.when;
  return first;
}

// -- what it is ------------------------------------------------------------------------------------------------------

void agenda::plan(moment when, event&& what) {
  place_at(when, std::move(what));
}

void agenda::plan_timeout(moment when, event what) {
  const auto which = key{what.who->id(), static_cast<std::uint64_t>(what.timeout().type)};
  cancel_timeout(which.actor, what.timeout().type);
  timeouts_.emplace(which, place_at(when, std::move(what)));
}

void agenda::cancel_timeout(std::uint64_t actor, caf::atom_value type) {
  const auto found = timeouts_.find({actor, static_cast<std::uint64_t>(type)});
  if (found == timeouts_.end())
    return;
  // Its place in the order stays until its time; what it held goes now.
  slots_[found->second].what = event{};
  timeouts_.erase(found);
}

void agenda::plan_request(moment now, moment wait, life_number whose, caf::strong_actor_ptr who,
                          caf::message_id request) {
  auto found = std::ranges::find(lanes_, wait, &lane::wait);
  if (found == lanes_.end()) {
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
    place_at(now + wait, event{static_cast<std::size_t>(found - lanes_.begin())});
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

event agenda::take_from(std::size_t which) {
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
    place_at(x.waiting[x.first].when, event{which});
  }
  return due;
}

event agenda::take() {
  const auto slot = pop().slot;
  auto& at = slots_[slot];
  auto what = std::move(at.what);
  at.next = std::exchange(free_, slot);
  if (near_.empty())
    turn();
  if (what.what() == event::kind::timeout)
    timeouts_.erase({what.who->id(), static_cast<std::uint64_t>(what.timeout().type)});
  return what.what() == event::kind::lane ? take_from(what.lane()) : std::move(what);
}

void agenda::clear() {
  near_.clear();
  far_.clear();
  std::ranges::fill(buckets_, none);
  filled_ = {};
  in_ring_ = 0;
  timeouts_.clear();
  free_ = none;
  // Ending one thing may plan another.
  auto lanes = std::exchange(lanes_, {});
  auto all = std::exchange(slots_, {});
  lanes.clear();
  all.clear();
}

} // namespace novacron::simulation
