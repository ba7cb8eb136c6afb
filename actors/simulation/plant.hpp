#pragma once

/// Bugs that a spec plants into the world, to see that the rules that are watched find them. No scenario can ask for
/// one.

#include <array>
#include <cstdint>
#include <string_view>

namespace novacron::simulation {

enum class plant : std::uint8_t {
  none,
  /// An order is acknowledged as soon as the leader alone has written it.
  early_answer,
  /// A voter gives its vote to everybody who asks.
  many_votes,
  /// One voter leaves out a change now and then.
  uneven_truth,
  /// Watchers of the ledger are not told of each change.
  lost_news,
  /// A node takes an assignment that was taken back.
  stale_assignment,
  /// Nodes say that they have twice the processor they have.
  doubled_capacity,
  /// Nobody ends what runs on a node whose lease is over.
  deaf_lease,
  /// The lease is measured by the wall clock.
  wall_lease,
  /// What was destroyed runs on.
  leaky_end,
  /// A node process that starts does not find what its former life left running.
  blind_sweep,
  /// A connection that broke is never made again.
  no_redial,
};

constexpr auto plants =
    std::array{plant::early_answer,     plant::many_votes,       plant::uneven_truth, plant::lost_news,
               plant::stale_assignment, plant::doubled_capacity, plant::deaf_lease,   plant::wall_lease,
               plant::leaky_end,        plant::blind_sweep,      plant::no_redial};

constexpr std::string_view to_string(plant x) {
  switch (x) {
    case plant::none: return "none";
    case plant::early_answer: return "early answer";
    case plant::many_votes: return "many votes";
    case plant::uneven_truth: return "uneven truth";
    case plant::lost_news: return "lost news";
    case plant::stale_assignment: return "stale assignment";
    case plant::doubled_capacity: return "doubled capacity";
    case plant::deaf_lease: return "deaf lease";
    case plant::wall_lease: return "wall lease";
    case plant::leaky_end: return "leaky end";
    case plant::blind_sweep: return "blind sweep";
    case plant::no_redial: return "no redial";
  }
  return "";
}

} // namespace novacron::simulation
