#include "actors/workload/assignment.hpp"

namespace novacron::workload {

std::vector<step> reconcile(const assigned_set& assigned, const present_set& present) {
  auto steps = std::vector<step>{};
  for (const auto& [name, copy] : present) {
    const auto wanted = assigned.find(name);
    const auto right = wanted != assigned.end() && wanted->second == copy.what;
    if (!right && !copy.leaving)
      steps.push_back({step::kind::remove, name});
  }
  for (const auto& [name, what] : assigned)
    if (!present.contains(name))
      steps.push_back({step::kind::start, name});
  return steps;
}

bool supersedes(std::uint64_t revision, std::uint64_t in_force) { return revision >= in_force; }

} // namespace novacron::workload
