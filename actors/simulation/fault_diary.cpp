#include "actors/simulation/fault_diary.hpp"

#include <algorithm>
#include <utility>

namespace novacron::simulation {

void fault_diary::begin(moment now, std::string what, std::string whom, std::string name, const host_set& hosts) {
  ++at_work_[what];
  open_.push_back({incidents_.size(), std::move(name), hosts.all()});
  incidents_.push_back({now, moment{0}, std::move(what), std::move(whom)});
}

void fault_diary::close(moment now, const open_fault& x) {
  auto& one = incidents_[x.incident];
  one.end = now;
  if (--at_work_[one.what] == 0)
    at_work_.erase(one.what);
}

void fault_diary::end(moment now, const std::string& name) {
  std::erase_if(open_, [&](const open_fault& x) {
    if (x.name != name)
      return false;
    close(now, x);
    return true;
  });
}

void fault_diary::end_all(moment now, const std::vector<std::string>& kinds) {
  std::erase_if(open_, [&](const open_fault& x) {
    if (std::ranges::find(kinds, incidents_[x.incident].what) == kinds.end())
      return false;
    close(now, x);
    return true;
  });
}

void fault_diary::end_on(moment now, const std::string& what, const host_set& hosts) {
  std::erase_if(open_, [&](open_fault& x) {
    if (incidents_[x.incident].what != what || x.hosts.empty())
      return false;
    std::erase_if(x.hosts, [&](host_number one) { return hosts.contains(one); });
    if (!x.hosts.empty())
      return false;
    close(now, x);
    return true;
  });
}

std::vector<incident> fault_diary::told(moment now) const {
  auto all = incidents_;
  for (const auto& x : open_)
    all[x.incident].end = now;
  return all;
}

} // namespace novacron::simulation
