#include "actors/migration/pass_planner.hpp"

#include <algorithm>

namespace novacron::migration {
namespace {

/// A pass that leaves more than this share of what the one before left does not get anywhere.
constexpr auto progress_share = 0.9;
/// Chosen: one bad pass may be chance, a second one is the guest's pace.
constexpr auto stalled_max = 2u;
/// A pass of few pages says nothing about the link: it took the time of its barrier.
constexpr auto telling_pages = std::uint64_t{64};

} // namespace

std::string_view name(next_pass x) {
  switch (x) {
    case next_pass::more: return "more";
    case next_pass::last: return "last";
    case next_pass::outrun: return "outrun";
  }
  return "unknown";
}

next_pass pass_planner::after(const pass_facts& done, std::uint64_t dirty) {
  ++pass_count_;
  if (last_.pages == 0 || done.pages >= telling_pages)
    last_ = done;
  const auto wanted = time_for(dirty);
  if (wanted <= std::max(0.0, limits_.downtime_max - limits_.handover))
    return next_pass::last;
  const auto stalls =
      dirty_before_ && static_cast<double>(dirty) > progress_share * static_cast<double>(*dirty_before_);
  stalled_ = stalls ? stalled_ + 1 : 0;
  dirty_before_ = dirty;
  if (stalled_ < stalled_max && pass_count_ < limits_.pass_max)
    return next_pass::more;
  return wanted <= limits_.downtime_forced ? next_pass::last : next_pass::outrun;
}

double pass_planner::time_for(std::uint64_t dirty) const {
  if (dirty == 0 || last_.pages == 0)
    return 0;
  return last_.seconds * static_cast<double>(dirty) / static_cast<double>(last_.pages);
}

} // namespace novacron::migration
