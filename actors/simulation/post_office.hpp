#pragma once

/// Carries messages between the lives of virtual hosts as BASP does between processes: one ordered connection per pair,
/// proxies that die with it and stay dead.

#include "actors/node/relay.hpp"
#include "actors/simulation/director.hpp"
#include "actors/simulation/network.hpp"
#include "actors/simulation/parcel.hpp"
#include "actors/simulation/plant.hpp"

#include <caf/actor_proxy.hpp>
#include <caf/io/middleman_actor.hpp>

#include <array>
#include <functional>
#include <map>
#include <typeinfo>
#include <utility>
#include <vector>

namespace novacron::simulation {

struct post_config {
  /// Silence after which BASP gives a connection up, and how often it speaks (`middleman.connection-timeout` and
  /// `middleman.heartbeat-interval` of node_system.cpp).
  moment silence_max = std::chrono::seconds{5};
  moment heartbeat = std::chrono::seconds{1};
  /// How long a connection attempt into the void takes.
  moment connect_max = std::chrono::seconds{3};
  /// Encode and decode each message as on the wire. Without it, messages that carry handles still are.
  bool encoded = true;
  plant planted = plant::none;
};

class post_office {
public:
  post_office(caf::actor_system& system, director& stage, network& wires, std::uint64_t seed,
              post_config settings = {});
  ~post_office();

  // -- lives
  void open(life_number which);
  /// `publish`: what callers of this address get to see.
  void publish(const std::string& address, life_number which, const caf::strong_actor_ptr& door);
  void unpublish(const std::string& address);
  /// A life is over. Its peers notice at once when only its process ended, else by silence.
  void close(life_number which, bool at_once);
  caf::io::middleman_actor make_transport(life_number which);

  // -- the network changed
  /// Looks again at which connections are cut off.
  void recheck();

  // -- on the way
  void deliver(parcel& what);
  /// Told of each message that arrives; may be empty.
  std::function<void(const caf::type_erased_tuple&)> heard;
  /// A handle for `receiver` to an actor of another life.
  caf::strong_actor_ptr import(life_number receiver, const caf::strong_actor_ptr& whom);
  /// Both are alive and have a connection.
  bool connected(life_number a, life_number b) const;

  struct counts {
    std::uint64_t sent = 0;
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;
    std::uint64_t doubled = 0;
    std::uint64_t bytes = 0;
    std::uint64_t connections = 0;
    std::uint64_t broken = 0;
  };
  const counts& counted() const { return counts_; }

private:
  /// The first two lines of the cache are all that a message on its way looks at.
  struct alignas(64) connection {
    /// Who spoke to whom last on a way: mostly the same two again, and finding them costs more than all else.
    struct pair {
      caf::strong_actor_ptr sender;
      caf::strong_actor_ptr receiver;
      /// The receiver, if it is one.
      node::relay* relay = nullptr;
      /// Of the receiving registry when the sender's proxy was found there.
      std::uint64_t edition = 0;
    };
    std::array<life_number, 2> ends{};
    std::uint32_t opened = 0;
    bool open = false;
    std::array<bool, 2> cut{};
    /// When the way from end 0 to 1, and back, is free again.
    std::array<moment, 2> clear{};
    std::array<pair, 2> last;
    std::array<std::uint64_t, 2> cut_number{};
    /// What TCP keeps until the way is there again.
    std::array<std::vector<std::unique_ptr<parcel>>, 2> held;
  };
  class proxy;
  class registry;
  class transport;

  void send(connection* x, life_number from, life_number to, caf::actor_id receiver, caf::mailbox_element_ptr what);
  void export_actor(const caf::strong_actor_ptr& who);
  /// Notes that others may know this actor; false when that was noted before.
  bool mark_known(life_number whose, caf::actor_id id);

  static std::uint64_t key(life_number a, life_number b) {
    return a < b ? static_cast<std::uint64_t>(a) << 32 | b : static_cast<std::uint64_t>(b) << 32 | a;
  }
  connection* find(life_number a, life_number b);
  void connect(life_number caller, const std::string& address,
               std::function<void(caf::expected<caf::strong_actor_ptr>)> done);
  void establish(life_number a, life_number b);
  void check(std::uint64_t which, connection& x);
  void give_up(std::uint64_t which, std::size_t way, std::uint64_t number);
  void lose(life_number here, life_number peer);
  void shut(connection& x);
  /// The proxy of whoever sent this, and whom it is for, if that is still there.
  const caf::strong_actor_ptr& sender_of(const parcel& what, connection::pair& last);
  const caf::strong_actor_ptr& receiver_of(const parcel& what, connection::pair& last);
  void launch(connection* x, std::unique_ptr<parcel> what);
  static parcel copy_of(const parcel& x);
  void transmit(connection& x, std::size_t way, std::unique_ptr<parcel> what);
  void tell_down(life_number from, life_number to, std::uint64_t actor, const caf::error& why);
  bool must_encode(const caf::type_erased_tuple& what);
  void encode(parcel& x, caf::mailbox_element& what);
  /// The message of a parcel, whose bytes may be bad: then null.
  caf::mailbox_element_ptr unpack(parcel& x);
  void make_stale(life_number receiver, caf::mailbox_element_ptr& what);
  std::uint32_t host_of(life_number x) const { return stage_.of(x).host; }

  caf::actor_system& system_;
  director& stage_;
  network& wires_;
  post_config settings_;
  std::mt19937_64 chance_;
  /// None is ever erased: parcels and proxies point at them.
  std::map<std::uint64_t, connection> connections_;
  std::vector<std::unique_ptr<registry>> registries_;
  std::map<std::string, std::pair<life_number, caf::weak_actor_ptr>> published_;
  /// The actors of each life that others may know.
  std::vector<std::vector<caf::actor_id>> exported_;
  std::vector<std::vector<life_number>> peers_;
  /// Those of all lives, by number: they are in CAF's registry, where looking is slower.
  std::vector<bool> known_;
  /// Whether messages of a type are known to carry no handles.
  std::vector<std::pair<const std::type_info*, bool>> plain_;
  /// The one that was found to carry none last: mostly the next one is the same.
  const std::type_info* plain_last_ = nullptr;
  /// For a planted bug: what each life was assigned first.
  std::map<life_number, caf::message> first_assigned_;
  counts counts_;
  bool closing_ = false;
};

} // namespace novacron::simulation
