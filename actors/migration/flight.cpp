#include "actors/migration/flight.hpp"

#include <algorithm>

namespace novacron::migration {
namespace {

/// Acknowledgements come in groups: two that were read at once say nothing about the link.
constexpr auto measurement_seconds = 0.004;

/// Long enough for some frames, short beside what a wrong coding costs.
constexpr auto look_seconds = 0.01;
/// A link that had nothing to carry when one looked is thought to be faster. Before it was ever seen at its limit, more
/// each time in a row; after that a little, for mostly it is its owner that has become slow: 2.7 times in a second.
constexpr auto growth_first = 0.05;
constexpr auto growth_max = 0.5;
constexpr auto growth_known = 0.01;
constexpr auto new_share = 0.5;

} // namespace

bool flight::has_room(std::uint64_t bytes) const {
  return under_way() == 0 || under_way() + bytes <= window();
}

void flight::sent(std::uint64_t bytes, double now) {
  if (under_way() == 0) {
    mark_ = now;
    arrived_mark_ = arrived_;
  }
  sent_ += bytes;
  frames_.push_back({sent_, now});
}

bool flight::arrived(std::uint64_t bytes_all, double now) {
  if (bytes_all < arrived_ || bytes_all > sent_)
    return false;
  arrived_ = bytes_all;
  for (; !frames_.empty() && frames_.front().end <= arrived_; frames_.pop_front())
    latency_ = std::min(latency_, now - frames_.front().time);
  if (now - mark_ >= measurement_seconds) {
    governor_.acknowledge(arrived_ - arrived_mark_, now - mark_);
    mark_ = now;
    arrived_mark_ = arrived_;
  }
  return true;
}

void link_gauge::look(const link_look& x, double now) {
  if (begin_ >= 0) {
    ++looks_;
    busy_ += x.busy;
  }
  if (begin_ >= 0 && now - begin_ < look_seconds)
    return;
  if (begin_ >= 0) {
    const auto measured = static_cast<double>(x.bytes - bytes_) / (now - begin_);
    const auto full = busy_ * 4 >= looks_ * 3;
    if (full) {
      rate_ = rate_ == 0 ? measured : rate_ + (measured - rate_) * new_share;
      known_ = true;
    } else {
      rate_ = std::max(rate_ * (1 + (known_ ? growth_known : growth_)), measured);
      growth_ = std::min(growth_ * 2, growth_max);
      if (!known_ && busy_ == 0)
        rate_ = std::max(rate_, x.rate);
    }
  }
  begin_ = now;
  bytes_ = x.bytes;
  looks_ = busy_ = 0;
}

} // namespace novacron::migration
