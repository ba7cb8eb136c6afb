#include "actors/workload/assignment_parts.hpp"

#include <utility>

namespace novacron::workload {

assignment_parts::progress assignment_parts::take(const wire::Assign& part) {
  if (part.parts() <= 1)
    return {.whole = part};
  if (part.part() == 0) {
    gathered_ = part;
    next_ = 1;
    return {};
  }
  const auto follows = next_ > 0 && part.revision() == gathered_.revision() && part.parts() == gathered_.parts() &&
                       part.controller() == gathered_.controller();
  if (!follows || part.part() > next_ || part.part() >= part.parts())
    return {.astray = true};
  if (part.part() < next_)
    return {};
  gathered_.MergeFrom(part);
  if (++next_ < part.parts())
    return {};
  next_ = 0;
  gathered_.clear_part();
  gathered_.clear_parts();
  return {.whole = std::exchange(gathered_, {})};
}

} // namespace novacron::workload
