#pragma once

/// The entries of the table of commands.

#include "actors/shell/commands.hpp"

namespace novacron::shell {

/// What one does every day.
std::vector<command> everyday_commands();
/// Nouns and their verbs.
std::vector<command> noun_commands();
/// What this program does itself: as a part of a fabric, or without one.
std::vector<command> own_commands();

/// Flags and arguments that several commands share. Made when asked for, so that a table may be made at any time.
struct shared_parts {
  argument one_node{"NODE", kind::node};
  argument one_workload{"WORKLOAD", kind::workload};
  argument one_instance{"INSTANCE", kind::instance};
  argument one_actor{"ACTOR", kind::actor};
  argument one_file{"FILE", kind::file};
  argument more_workloads{.name = "MORE", .is = kind::workload, .optional = true, .many = true};
  flag follow{"follow", 'f', "", "go on with what comes, until Ctrl-C"};
  flag tail{"tail", 0, "LINES", "begin with this many last lines (default: all)", kind::number};
  flag on_node{"node", 0, "NODE", "only of this node", kind::node};
  flag wait{"wait", 'w', "", "wait until it is so (see --timeout; 60s unless given)"};
  flag check_drain{"check", 0, "", "only say what would become of each instance"};
  flag detach{"detach", 'd', "", "do not wait, not even on a terminal"};
  flag expected{"if-revision", 0, "N", "only if nobody changed it since this revision (0: only if it is new)",
                kind::number};
  std::vector<flag> exec{{"interactive", 'i', "", "give it our input"},
                         {"tty", 't', "", "give it a terminal"},
                         {"env", 'e', "NAME=VALUE", "set a variable (may be repeated)"}};
  std::vector<std::string> log_levels{"trace", "debug", "info", "warn", "error"};
  std::vector<std::string> roles{"cloud", "hybrid", "edge", "gpu", "storage", "gateway"};
};

} // namespace novacron::shell
