#include "actors/workload/assignment.hpp"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
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

bool is_only_relabelled(const wire::Instance& here, const wire::Instance& wanted) {
  return here.name() == wanted.name() && here.epoch() == wanted.epoch() && here.generation() < wanted.generation() &&
         google::protobuf::util::MessageDifferencer::Equals(here.spec(), wanted.spec());
}

void take_move(wire::Instance& into, const wire::Instance& from) {
  into.clear_move();
  into.clear_next();
  if (from.has_move())
    *into.mutable_move() = from.move();
  if (from.has_next())
    *into.mutable_next() = from.next();
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

leftover under(const wire::Assign& assigned, leftover found) {
  const auto edition_of = [](const wire::Instance& x) { return edition{x.epoch(), x.generation()}; };
  const auto& all = assigned.instances();
  const auto wanted = std::ranges::find(all, found.instance.name(), &wire::Instance::name);
  const auto here = edition_of(found.instance);
  if (wanted != all.end() && !found.instance.has_spec() && (here == edition{} || here == edition_of(*wanted)))
    found.instance = *wanted;
  if (found.alive)
    return found;
  if (wanted != all.end() && edition_of(found.instance) == edition_of(*wanted))
    take_move(found.instance, *wanted);
  if (wanted == all.end() || edition_of(found.instance) != edition_of(*wanted))
    found.status.set_phase(wire::PHASE_STOPPED);
  else if (wanted->outcome() != wire::PHASE_UNSPECIFIED)
    found.status.set_phase(wanted->outcome());
  return found;
}

bool supersedes(std::uint64_t revision, std::uint64_t in_force) { return revision >= in_force; }

} // namespace novacron::workload
