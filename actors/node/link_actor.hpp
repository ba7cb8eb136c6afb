#pragma once

/// One link per peer: it dials (or waits to be dialled), watches the peer's pulse, and connects the ways to its actors.

#include "actors/host/metrics.hpp"
#include "actors/node/directory.hpp"
#include "actors/node/introduction.hpp"
#include "actors/node/pulse.hpp"

#include <caf/io/middleman_actor.hpp>

#include <atomic>

namespace novacron::node {

/// What the door and its links share. Everything it points to outlives them.
struct neighbourhood {
  // What every beat looks at lies together.
  directory* names = nullptr;
  /// Where links count; null counts nothing.
  std::shared_ptr<host::metrics> numbers = nullptr;
  pulse_config pulse;
  /// True on nodes without a ledger: they learn from their peers who leads.
  bool follows = false;
  /// How to reach an address; the simulation has its own.
  caf::io::middleman_actor transport;
  std::function<papers()> own_papers;
  std::function<host::wall_time()> wall_clock;
  host::deny_list* denied = nullptr;
  wire::NodeFacts facts;
  /// Told of NodeArrived and NodeDeparted.
  std::vector<caf::actor> watchers;
  /// Told of each peer that was not let in, and why.
  std::function<void(const std::string& why, const std::string& text)> refused;
  std::uint64_t seed = 0;
};

struct address {
  std::string host;
  std::uint16_t port = 0;
};

/// When the door last heard a beat of a peer, for the link that listens for them; both run in threads of their own.
class last_beat {
public:
  void hear(instant now) { at_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }
  instant heard() const { return instant{instant::duration{at_.load(std::memory_order_relaxed)}}; }

private:
  std::atomic<instant::rep> at_ = 0;
};

/// A peer that was authenticated: by which actor system it speaks, and its door.
struct acquaintance {
  caf::actor door;
  caf::node_id system;
  std::string serial;
  wire::NodeFacts facts;
};

/// Link to door: a dialled peer proved itself and may resolve names here.
struct admitted {
  acquaintance peer;
  /// What the link was called when it dialled: the peer's name, or its address when only that was known.
  std::string dialled;
};
/// Door to link: the peer dialled us, and its beats are noted there.
struct dialled_in {
  acquaintance peer;
  std::shared_ptr<const last_beat> beats;
};
/// Link to door: a peer that only dials in was given up. Until it introduces itself again its beats are refused, so that
/// it does not go on as if the link were up.
struct parted {
  caf::node_id system;
};
/// Directory to link: connect this way too.
struct new_way {
  std::shared_ptr<channel> way;
};
/// Asks a link how it is.
struct link_question {};
struct link_answer {
  wire::LinkStatus status;
};

/// `where` is nothing for a peer that only dials in. A `peer` that is an address ("10.0.0.1:7100") stands for whichever
/// controller is found there.
caf::actor spawn_link(caf::actor_system& system, std::string peer, caf::optional<address> where, caf::actor door,
                      std::shared_ptr<const neighbourhood> around);

} // namespace novacron::node

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::admitted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::dialled_in)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::parted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::new_way)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::link_question)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(novacron::node::link_answer)
