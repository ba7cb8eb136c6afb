#pragma once

/// Compares what a node shall run with what it has, and says what to do about the difference.

#include "actors/workload/driver.hpp"
#include "messages/wire/agent.pb.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace novacron::workload {

/// One instance as the assignment and the node name it: (name, epoch, generation).
struct edition {
  std::uint64_t epoch = 0;
  std::uint64_t generation = 0;
  bool operator==(const edition&) const = default;
};

/// A copy that the node has.
struct present_copy {
  edition what;
  /// It is on its way out already.
  bool leaving = false;
};

struct step {
  enum class kind {
    /// Nothing of that name is here: start it.
    start,
    /// It must not be here, or not in this edition. A start of the other edition follows when it is gone.
    remove,
  };
  kind what;
  std::string name;
  bool operator==(const step&) const = default;
};

using assigned_set = std::map<std::string, edition>;
using present_set = std::map<std::string, present_copy>;

/// The steps from `present` towards `assigned`. What leaves is not hurried and not started again before it is gone,
/// so two copies of one name are never here at the same time.
std::vector<step> reconcile(const assigned_set& assigned, const present_set& present);

/// Whether `wanted` is a later generation of what `here` is, and asks for the same: the format it was converted to.
bool is_only_relabelled(const wire::Instance& here, const wire::Instance& wanted);

/// Has `into` move as `from` says, and changes nothing else of it.
void take_move(wire::Instance& into, const wire::Instance& from);

/// The assignment after `change`, whose base must be the revision of `former`: instances of a name take the place of
/// those that had it.
wire::Assign changed(const wire::Assign& former, const wire::AssignChange& change);

/// What a start of the node found, as the assignment has it. What does not run and is not assigned (any more) is
/// stopped, and what came to its end is as its controller knows: neither is to start once more. One whose own record
/// could not be read is what is assigned under its name. What does not run and has come to stay begins with what came.
leftover under(const wire::Assign& assigned, leftover found);

/// Whether an assignment may replace the one that is in force: never by an older ledger index.
bool supersedes(std::uint64_t revision, std::uint64_t in_force);

} // namespace novacron::workload
