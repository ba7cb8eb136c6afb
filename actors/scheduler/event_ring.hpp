#pragma once

/// The last things that happened, in order, for those who read along.

#include "messages/wire/scheduler.pb.h"

#include <algorithm>
#include <cstdint>
#include <deque>

namespace novacron::scheduler {

class event_ring {
public:
  explicit event_ring(std::size_t size_max = 4096) : size_max_{size_max} {}

  /// Numbers rise also from one leader to the next, because the ledger's index is in them.
  void add(v1::Event event, std::uint64_t index, std::int64_t now_ms) {
    last_ = std::max(last_ + 1, index << 16);
    event.set_number(last_);
    first_ = first_ == 0 ? last_ : first_;
    event.set_time_ms(now_ms);
    events_.push_back(std::move(event));
    if (events_.size() > size_max_) {
      dropped_ = events_.front().number();
      events_.pop_front();
    }
  }

  /// What came after the event numbered `after`, at most `limit` (0: 256). `missed` when something between may be gone:
  /// it was dropped, a former leader saw it, or `after` is of a fabric that had another history.
  v1::Events read(std::uint64_t after, std::uint32_t limit) const {
    const auto most = limit == 0 ? 256u : std::min(limit, 1000u);
    auto found = v1::Events{};
    // A number from the future would keep its watcher waiting for ever.
    const auto foreign = !events_.empty() && after > last_;
    found.set_missed(after < dropped_ || (after != 0 && after < first_) || foreign);
    found.set_next(after);
    if (foreign)
      after = 0;
    auto at = std::upper_bound(events_.begin(), events_.end(), after,
                               [](std::uint64_t number, const v1::Event& x) { return number < x.number(); });
    for (; at != events_.end() && static_cast<std::uint32_t>(found.events_size()) < most; ++at) {
      *found.add_events() = *at;
      found.set_next(at->number());
    }
    return found;
  }

private:
  std::size_t size_max_;
  std::deque<v1::Event> events_;
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t dropped_ = 0;
};

} // namespace novacron::scheduler
