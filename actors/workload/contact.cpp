#include "actors/workload/contact.hpp"

#include <algorithm>

namespace novacron::workload {

void contact::confirm(duration sent) {
  if (sent <= confirmed_)
    return;
  if (longest_)
    longest_ = std::max(*longest_, sent - confirmed_);
  confirmed_ = sent;
}

void contact::instruct() { longest_ = duration::zero(); }

bool contact::assured(duration patience, duration now) const {
  return longest_ && *longest_ < patience && silence(now) < patience;
}

} // namespace novacron::workload
