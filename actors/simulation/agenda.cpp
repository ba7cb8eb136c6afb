#include "actors/simulation/agenda.hpp"

#include <algorithm>
#include <utility>

namespace novacron::simulation {

agenda::agenda() = default;
agenda::~agenda() = default;

void agenda::plan(moment when, event what) {
  auto slot = static_cast<std::uint32_t>(slots_.size());
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  if (cancellable(what.what))
    open_.insert_or_assign(key{what.who->id(), what.id}, slot);
  slots_[slot] = std::move(what);
  heap_.push_back({when, ++planned_, slot});
  std::push_heap(heap_.begin(), heap_.end(), later);
}

void agenda::cancel(event::kind what, std::uint64_t actor, std::uint64_t id) {
  if (!cancellable(what))
    return;
  const auto found = open_.find({actor, id});
  if (found == open_.end())
    return;
  // The place in the heap stays until its time; what it held goes now.
  slots_[found->second] = event{};
  open_.erase(found);
}

event agenda::take() {
  std::pop_heap(heap_.begin(), heap_.end(), later);
  const auto slot = heap_.back().slot;
  heap_.pop_back();
  auto what = std::exchange(slots_[slot], event{});
  free_.push_back(slot);
  if (cancellable(what.what))
    if (const auto found = open_.find({what.who->id(), what.id}); found != open_.end() && found->second == slot)
      open_.erase(found);
  return what;
}

void agenda::clear() {
  heap_.clear();
  open_.clear();
  free_.clear();
  // Ending one thing may plan another.
  auto all = std::exchange(slots_, {});
  all.clear();
}

} // namespace novacron::simulation
