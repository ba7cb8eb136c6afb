#include "actors/workload/contact.hpp"

#include <algorithm>

namespace novacron::workload {

contact::contact(duration now, std::optional<duration> noted)
    : last_{noted && *noted <= now ? *noted : noted ? duration::zero() : now} {}

void contact::arrive(const std::string& controller, duration now) {
  present_.insert(controller);
  hear(now);
}

void contact::depart(const std::string& controller, duration now) {
  if (present_.erase(controller) > 0)
    last_ = std::max(last_, now);
}

void contact::hear(duration now) {
  last_ = std::max(last_, now);
  known_ = true;
}

duration contact::silence(duration now) const { return present_.empty() ? now - last_ : duration::zero(); }

bool contact::worth_noting(duration now) {
  const auto at = last(now);
  if (noted_ && at < *noted_ + note_interval)
    return false;
  noted_ = at;
  return true;
}

} // namespace novacron::workload
