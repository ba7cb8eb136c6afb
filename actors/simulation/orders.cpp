#include "actors/simulation/orders.hpp"

#include <fmt/format.h>

namespace novacron::simulation {

void order_book::asked(const std::string&, wish) {
  ++asked_;
}

void order_book::acknowledged(const std::string& workload, wish what, std::uint64_t generation) {
  ++acknowledged_;
  last_[workload] = {what, generation, true};
}

void order_book::unsure(const std::string& workload) {
  last_[workload].sure = false;
}

std::vector<std::string> order_book::lost(const ledger::records& truth) const {
  auto found = std::vector<std::string>{};
  for (const auto& [workload, last] : last_) {
    if (!last.sure)
      continue;
    const auto at = truth.all().find("workload/" + workload);
    auto record = wire::WorkloadRecord{};
    const auto there = at != truth.all().end() && record.ParseFromString(at->second.value);
    if (last.what == wish::run && !there)
      found.push_back(fmt::format("{} was accepted as generation {} and is gone", workload, last.generation));
    else if (last.what == wish::run && (record.generation() < last.generation || record.stopped()))
      found.push_back(fmt::format("{} was accepted as generation {}; the ledger holds generation {}{}", workload,
                                  last.generation, record.generation(), record.stopped() ? ", stopped" : ""));
    else if (last.what == wish::stop && there && !record.stopped())
      found.push_back(fmt::format("{} was to stop, and the ledger does not know", workload));
    else if (last.what == wish::forget && there && !record.forgotten())
      found.push_back(fmt::format("{} was to be forgotten, and the ledger does not know", workload));
  }
  return found;
}

} // namespace novacron::simulation
