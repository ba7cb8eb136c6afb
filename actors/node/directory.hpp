#pragma once

/// Where everybody is: the actors of this node by name, and the ways out to those of its peers.

#include "actors/node/reach.hpp"
#include "actors/node/relay.hpp"
#include "messages/registry.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>

namespace novacron::node {

/// May be used from any thread.
class directory {
public:
  using post_ptr = std::shared_ptr<post>;
  using channel_ptr = std::shared_ptr<channel>;

  directory(caf::actor_system& system, std::string self, channel::limits bounds = {});
  ~directory();

  /// Ends the addresses and the ways: what is sent to them is refused from here on.
  void retire();

  const std::string& self() const { return self_; }

  /// What of this node its peers may reach; the transport asks it for each message.
  const std::shared_ptr<reach>& ways_in() const { return ways_in_; }

  /// The address of the local actor called `title`, made on first use.
  post_ptr open(const std::string& title);
  /// The same, null when nobody ever opened it.
  post_ptr look_up(const std::string& title) const;
  std::vector<post_ptr> posts() const;
  /// Removes an address that will not be used again.
  void close(const std::string& title);

  /// The way to the actor called `title` on `peer`, made on first use; it connects when the peer's link is up.
  channel_ptr way_to(const std::string& peer, const std::string& title);
  std::vector<channel_ptr> ways_to(const std::string& peer) const;

  /// Called (outside of locks) for each way that is new.
  void on_new_way(std::function<void(const channel_ptr&)> tell);

  /// The actor at "title" or "node/title". The names of the controllers' actors ("scheduler", "ledger", "authority")
  /// mean those of the node that leads, wherever one asks; "node/scheduler" means that one.
  caf::expected<caf::actor> find(std::string_view path);

  /// A handle to `title` on `node`, be it this one or a peer.
  caf::actor handle(const std::string& node, const std::string& title);

  /// A handle to the controllers' actor `title` on whichever node leads the ledger.
  caf::actor leading(const std::string& title);

  /// Tells who leads the ledger; empty while nobody does.
  void lead(const std::string& node);
  std::string leader() const;
  /// Changes whenever `leader` does; never 0.
  std::uint64_t leader_news() const { return leader_news_.load(std::memory_order_acquire); }

  /// Peers whose links are up, for rooms that were restarted and missed the news.
  void arrived(const wire::NodeFacts& facts);
  void departed(const std::string& node);
  std::vector<wire::NodeFacts> present() const;

private:
  caf::actor_system& system_;
  const std::string self_;
  const channel::limits bounds_;
  const std::shared_ptr<reach> ways_in_ = std::make_shared<reach>();
  mutable std::mutex guard_;
  std::map<std::string, post_ptr> posts_;
  std::map<std::pair<std::string, std::string>, channel_ptr> ways_;
  std::function<void(const channel_ptr&)> tell_;
  std::string leader_;
  std::atomic<std::uint64_t> leader_news_ = 1;
  std::map<std::string, post_ptr> leading_;
  std::map<std::string, wire::NodeFacts> present_;
};

} // namespace novacron::node
