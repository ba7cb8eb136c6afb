#pragma once

/// The voters of the ledger in the virtual world: Raft over the virtual network, with the shipping state machine.
///
/// It stands in for the C library that real voters use, with its promises and its timing: a majority has an entry on
/// disk before anybody is told that it counts. See "In Search of an Understandable Consensus Algorithm", 2014.

#include "actors/simulation/director.hpp"
#include "actors/simulation/machine.hpp"
#include "actors/simulation/network.hpp"
#include "actors/simulation/plant.hpp"
#include "actors/state/local_ledger.hpp"
#include "actors/state/records.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>

namespace novacron::simulation {

struct voters_config {
  /// As in `server_options`.
  moment election = std::chrono::milliseconds{300};
  moment heartbeat = std::chrono::milliseconds{60};
  /// What an fdatasync takes.
  moment sync = std::chrono::microseconds{400};
  /// Entries that are kept for voters that are behind; whoever is further behind gets the whole state.
  std::size_t kept_max = 4096;
  moment patience = std::chrono::seconds{8};
  plant planted = plant::none;
};

class voters {
public:
  voters(director& stage, network& wires, std::uint64_t seed, voters_config settings = {});
  ~voters();

  /// Before anything starts: this host votes.
  void add(machine& host);
  /// The voter of a host comes up with what lies on its disk, as part of that life.
  std::unique_ptr<ledger::local_ledger> start(host_number host, life_number life);
  /// It is gone; with `power_lost` also what was not synced.
  void stop(host_number host, bool power_lost);

  bool votes(host_number host) const { return index_.contains(host); }
  std::vector<host_number> members() const;
  /// Who leads by its own belief with the highest term; nothing while nobody does.
  std::optional<host_number> leader() const;
  /// The state machine of the voter that has applied most.
  const ledger::records& truth() const;
  const ledger::records& of(host_number host) const;
  /// What the voters hold against one another: empty when all that they have both applied is the same.
  std::string disagreement() const;
  std::uint64_t elections() const { return elections_; }

private:
  struct entry {
    std::uint64_t term = 0;
    /// A serialized command; empty for the entry with which a leader begins, and for reads.
    std::string command;
  };
  struct message;
  struct asked {
    std::uint64_t term = 0;
    std::function<void(const ledger::records::outcome*)> done;
  };
  struct member;
  class voice;

  member& at(host_number host) { return *members_[index_.at(host)]; }
  void watch_clock(std::size_t who, std::uint64_t start);
  void campaign(member& x);
  void win(member& x);
  void step_down(member& x, std::uint64_t term);
  void send(member& from, std::size_t to, message what);
  void receive(std::size_t who, std::uint64_t start, const message& what);
  void on_append(member& x, const message& what);
  void on_snapshot(member& x, const message& what);
  void on_appended(member& x, const message& what);
  void replicate(member& x, std::size_t to);
  void beat(std::size_t who, std::uint64_t start, std::uint64_t term);
  void append(member& x, entry what, std::function<void(const ledger::records::outcome*)> done);
  void sync(member& x, std::function<void()> then);
  void count(member& x);
  void apply(member& x);
  void compact(member& x);
  void tell_led(member& x);
  void fail_open(member& x);
  std::size_t majority() const { return members_.size() / 2 + 1; }
  moment election_wait();

  director& stage_;
  network& wires_;
  voters_config settings_;
  std::mt19937_64 chance_;
  std::vector<std::unique_ptr<member>> members_;
  std::map<host_number, std::size_t> index_;
  std::uint64_t elections_ = 0;
};

} // namespace novacron::simulation
