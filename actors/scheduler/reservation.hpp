#pragma once

/// Room that is kept for some workloads: where it is, who may take it, and how much of it they have not taken yet.

#include "actors/scheduler/placement.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace novacron::scheduler {

struct reservation {
  /// Whose workloads have a right to it, and all of them; empty: whichever name it.
  std::string tenant;
  /// What each place has.
  amount place;
  /// The node of each place; none before it begins.
  std::vector<std::string> nodes;
};

/// What is kept on each node is what its places have there, less what those have there who have a right to it.
class reservations {
public:
  void set(const std::string& name, std::optional<reservation> what);
  bool empty() const { return all_.empty(); }

  /// The names of those that a request may draw on. One that names none draws on all of its tenant.
  std::vector<std::string> open_to(const request& x) const;
  /// The nodes where these have places.
  std::vector<std::string> nodes_of(const std::vector<std::string>& names) const;

  /// What is there under `key` takes `x.need` on a node, in room that it has a right to as far as there is some.
  void draw(const std::string& key, const std::string& node, const request& x);
  void undraw(const std::string& key);
  /// Whether it has a right to room on its node.
  bool draws(const std::string& key) const;

  /// By reservation, what is still kept on a node.
  std::map<std::string, amount> kept_on(const std::string& node) const;
  /// And what is taken of it, by whoever has a right to it.
  amount taken_of(const std::string& name) const;
  /// What reservations have on a node in all, but for those that are open to the request.
  amount closed_on(const std::string& node, const request& x) const;

  /// Nodes where what is kept may be another since the last call.
  std::set<std::string> take_changed() { return std::exchange(changed_, {}); }
  /// Others came or went on the node: of its devices others may be free.
  void heed(const std::string& node);

private:
  /// Who draws: those that name a reservation, or the others of a tenant.
  using claim = std::pair<std::string, std::string>;
  struct draft {
    std::string node;
    claim who;
    amount need;
  };
  std::map<std::string, amount> places_on(const std::string& node) const;
  static claim claim_of(const request& x);

  std::map<std::string, reservation> all_;
  std::map<std::string, draft> drafts_;
  std::map<std::string, std::map<claim, amount>> drawn_;
  std::map<std::string, std::set<std::string>> on_node_;
  std::set<std::string> changed_;
};

/// Holds in the cluster what is kept on a node, instead of what was held for that before.
void hold_reserved(cluster& all, const reservations& kept, const std::string& node);
/// Holds nothing any more of what is kept for these on their nodes.
void lift_reserved(cluster& all, const reservations& kept, const std::vector<std::string>& names);
/// A place in room that is kept for the request where there is some, else wherever there is some.
std::optional<decision> place_reserved(cluster& all, const reservations& kept, const request& x);

/// Whether `need` fits when nobody else is there.
bool fits_empty(const amount& capacity, const amount& need);
/// `x` less `by`, or more where `sign` is 1.
void change(amount& x, const amount& by, int sign);

} // namespace novacron::scheduler
