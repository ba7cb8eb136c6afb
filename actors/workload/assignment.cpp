#include "actors/workload/assignment.hpp"

#include <set>
#include <string_view>

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

wire::Assign changed(const wire::Assign& former, const wire::AssignChange& change) {
  auto others = std::set<std::string_view>{change.gone().begin(), change.gone().end()};
  for (const auto& each : change.instances())
    others.insert(each.name());
  auto now = wire::Assign{};
  now.set_node(change.node());
  now.set_revision(change.revision());
  now.set_controller(change.controller());
  now.set_takes_changes(true);
  now.mutable_instances()->Reserve(former.instances_size() + change.instances_size());
  for (const auto& each : former.instances())
    if (!others.contains(each.name()))
      *now.add_instances() = each;
  for (const auto& each : change.instances())
    *now.add_instances() = each;
  return now;
}

bool supersedes(std::uint64_t revision, std::uint64_t in_force) { return revision >= in_force; }

} // namespace novacron::workload
