#pragma once

/// Finds the node for an instance: the state of a cluster and a request in, a decision out.

#include "actors/scheduler/fragmentation.hpp"
#include "actors/scheduler/rules.hpp"
#include "actors/scheduler/scan.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace novacron::scheduler {

/// What a node has or an instance needs, counted exactly.
struct amount {
  std::int64_t cpu_milli = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t disk_bytes = 0;
  /// On a node: 1000 per device. In a request: below 1000 a share of one device, else whole devices.
  std::int64_t gpu_milli = 0;
  /// In a request several models may be named, separated by `|`; empty means any.
  std::string gpu_model;
  std::map<std::string, std::int64_t> extra;

  bool operator==(const amount&) const = default;
};

enum class node_state : std::uint8_t { ready, drained, lost };

/// What placement knows of a node. Labels hold "zone", "region" and "role" too; "node" is always its name.
struct node_shape {
  std::string name;
  std::map<std::string, std::string> labels;
  amount capacity;
  /// Kinds of workload that it can run; empty means all.
  std::vector<std::string> kinds;
  bool hosts = true;
  node_state state = node_state::ready;
  std::vector<taint> taints = {};
};

struct spread_rule {
  std::string key;
  std::uint32_t max_skew = 1;
  /// A wish: emptier domains are better, none is forbidden.
  bool prefer = false;
};

/// Others that an instance is to be with, or without.
struct neighbour {
  neighbour(std::string name, std::string key = "node", bool wish = false)
      : who{std::move(name)}, over{std::move(key)}, prefer{wish} {}

  /// A workload, or a label of workloads, KEY=VALUE.
  std::string who;
  /// The label of nodes that both have the same value of.
  std::string over;
  /// A wish: such nodes are better, none is forbidden.
  bool prefer = false;

  bool operator==(const neighbour&) const = default;
};

/// One instance that looks for a node.
struct request {
  std::string workload;
  std::string kind;
  std::string image;
  amount need;
  std::map<std::string, std::string> require;
  std::map<std::string, std::string> prefer;
  std::vector<neighbour> near;
  std::vector<neighbour> apart;
  std::vector<spread_rule> spread;
  /// What only one instance on a node can have, such as "port/8080".
  std::vector<std::string> claims;
  /// One that has a name of its own or was defined; empty for the cluster's default.
  std::string policy;
  /// Nodes where it failed before: taken only when there is no other.
  std::vector<std::string> avoid;
  /// The node where it is now: taken when nothing speaks clearly against it.
  std::string home;
  /// All of them must hold of a node.
  std::vector<label_rule> where = {};
  std::vector<toleration> tolerate = {};
  /// Of the workload, KEY=VALUE.
  std::vector<std::string> labels = {};
  /// By what it may have a right to room that is kept (reservation.hpp).
  std::string tenant = {};
  std::string reservation = {};
};

/// Whether the instances of this workload are themselves meant.
bool is_itself(const request& what, const neighbour& whom);

/// Room that is taken on a node, by an instance that is there or on its way.
struct hold {
  std::string node;
  std::string workload;
  amount need;
  std::vector<std::uint32_t> gpus;
  std::vector<std::string> claims;
  std::vector<neighbour> apart;
  /// Of the workload, KEY=VALUE.
  std::vector<std::string> labels = {};
  std::int32_t priority = 0;
  /// Nobody is there: the room is kept for those who may draw on this reservation.
  std::string reservation = {};

  bool operator==(const hold&) const = default;
};

struct decision {
  std::string node;
  std::vector<std::uint32_t> gpus;
  double score = 0;
};

/// What a request takes when it is placed.
hold hold_of(const request& x, const decision& where);

/// The features that every policy weighs, each between 0 and 1; `whole` alone is what is lost for the requests that
/// are expected, 0 or below, and may say that more is won than lost. `usable`, `starved` and `idle` are three of its
/// parts once more, so that a policy may weigh them otherwise (fragmentation.hpp).
/// `price` is how cheap a node is by its label of that name (none: it costs nothing), `zones` how few of the same
/// workload are in its zone.
enum feature : std::uint8_t {
  room,
  evenness,
  prefer,
  image,
  spread,
  reserve,
  fresh,
  home,
  whole,
  price,
  zones,
  usable,
  starved,
  idle,
  feature_count
};
using features = std::array<float, feature_count>;
/// Whether a policy with these weights looks at what is expected.
inline bool heeds_mix(const features& weights) {
  return weights[whole] != 0 || weights[usable] != 0 || weights[starved] != 0 || weights[idle] != 0;
}
std::string_view to_string(feature x);

/// The weights of the policy called `name`; none when it has no meaning of its own.
std::optional<features> policy_weights(std::string_view name);
/// The names of those policies, sorted.
std::vector<std::string> policy_names();

struct node_score {
  std::string node;
  double score = 0;
  features values{};
};

/// Why a node cannot take an instance: `cause` is one word, `detail` says it with figures.
struct node_refusal {
  std::string node;
  std::string cause;
  std::string detail;
};

struct explanation {
  /// Best first.
  std::vector<node_score> scores;
  /// By name of node.
  std::vector<node_refusal> refusals;
  /// "12 nodes: 7 lack memory, 5 wrong zone".
  std::string summary;
};

/// The nodes, and the room that is taken on them. Columns of equal length, one slot per node.
class cluster {
public:
  explicit cluster(std::string default_policy = "balance") : default_policy_{std::move(default_policy)} {}

  /// Adds a node, or changes what is known of it; what is held there stays held.
  /// Returns whether anything changed.
  bool set_node(const node_shape& shape);
  /// Returns whether the node's images changed.
  bool set_images(const std::string& node, std::vector<std::string> images);
  void remove_node(const std::string& node);

  /// The requests that are expected from now on, for policies that heed the mix. Without it the cluster expects more
  /// of what it has seen.
  void expect(std::vector<expected_request> mix);

  /// Gives a policy these weights, or takes its name back. Names that have a meaning of their own keep it.
  void define_policy(const std::string& name, std::optional<features> weights);
  /// The policy of requests that name none; one that does not exist means "balance".
  void use_policy(std::string name) { default_policy_ = std::move(name); }

  /// Takes room under the name `key`, even where there is none left: what runs, runs.
  void take(const std::string& key, hold what);
  /// Returns whether anything was held under that name.
  bool release(const std::string& key);
  /// Nothing is kept on the node any more.
  void release_reserved(const std::string& node);
  const hold* find_hold(const std::string& key) const;
  /// The keys of what is held on a node, sorted.
  std::vector<std::string> held_on(const std::string& node) const;
  /// The same as they lie there, until one of them is released.
  std::vector<std::pair<const std::string*, const hold*>> holds_on(const std::string& node) const;
  /// A node where some of those that hold room would have to go before something more important has room.
  struct yielding_node {
    std::string name;
    /// So many at least, whatever the rules say.
    std::size_t victims = 0;
  };
  /// Of the nodes that no rule forbids to an instance, and that have room for it once at most `victims_max` of a lower
  /// priority went, those first where the fewest have to go, and of equals those where the least important is: `count`
  /// of them, the first `from` left out.
  std::vector<yielding_node> yielding(const request& x, std::int32_t priority, std::size_t victims_max,
                                      std::size_t from, std::size_t count) const;
  /// Whether somebody has ever refused to share a node or more with somebody.
  bool refuses_any() const { return !apart_over_.empty(); }
  /// The nodes that no rule forbids to an instance, whether they have room or not, by name.
  std::vector<std::string> open_to(const request& x) const;

  /// The best node for an instance, the lowest name among equals; none when it fits nowhere.
  std::optional<decision> place(const request& x) const;
  /// What a node scores for an instance; none when it cannot take it.
  std::optional<double> score_on(const request& x, const std::string& node) const;
  /// Scores and refusals of all nodes.
  explanation explain(const request& x) const;
  /// The summary alone, for a fraction of the effort: nodes are counted by the bits of masks, not looked at.
  std::string why_not(const request& x) const;

  std::size_t size() const { return slots_.size(); }
  const node_shape* find_node(const std::string& name) const;
  /// What is left on a node; negative where more is held than there is.
  amount free_on(const std::string& name) const;
  /// Free thousandths per device.
  std::vector<std::int64_t> gpus_on(const std::string& name) const;

private:
  using slot = std::uint32_t;
  /// The least priority where nothing is held that could move.
  static constexpr auto nobody = std::numeric_limits<std::int32_t>::max();
  using mask = std::vector<std::uint64_t>;
  /// How many there are per slot, ascending and without gaps in memory: the scan walks along it.
  class presence {
  public:
    void add(slot at, int sign);
    std::uint32_t count(slot at) const;
    bool empty() const { return counts_.empty(); }
    auto begin() const { return counts_.begin(); }
    auto end() const { return counts_.end(); }

  private:
    std::vector<std::pair<slot, std::uint32_t>> counts_;
  };
  struct search;
  /// For a key of spreading, the number of the domain each slot belongs to; -1 for none.
  struct domain_column {
    std::vector<std::int32_t> of;
    std::size_t count = 0;
    /// The slots of each domain, where there are few.
    std::vector<mask> members;
  };

  /// What a kind of request scores on each node by a policy, as far as it depends on nothing else. Kept until a node
  /// changes, and then only that node is scored again.
  struct score_row {
    /// Minus infinity where it has no room.
    std::vector<float> score;
    /// The greatest of each 64 scores: most blocks cannot hold the best and are never looked into.
    std::vector<float> greatest;
    // For policies that heed the mix: what would be lost, on which device least, and for which version of the node.
    std::vector<float> loss;
    std::vector<std::uint8_t> device;
    std::vector<std::uint32_t> version;
    /// How many changes of nodes it has seen, and when it was last asked for.
    std::uint64_t seen = 0;
    std::uint64_t asked = 0;
  };
  /// Cores, memory, disk, GPU.
  using kind_of_need = std::array<std::int64_t, 4>;

  slot slot_for(const std::string& name);
  void account(slot at, const hold& x, int sign);
  void count_present(slot at, const hold& x, int sign);
  void leave(slot at);
  void reorder();
  void mark(slot at, const node_shape& shape, bool on);
  void fill(slot at, const node_shape& shape);
  void refresh_gpus(slot at);
  void refresh_least(slot at);
  std::vector<std::int64_t>& extra_column(const std::string& name);
  void refresh_scan(slot at);
  const mask& ready_for(const std::string& kind) const;
  search prepare(const request& x) const;
  features weights_of(const std::string& policy) const;
  const mask* with_label(const std::string& key, const std::string& value, mask& own) const;
  const mask& mask_of(const label_rule& rule) const;
  void hold_to_labels(search& s) const;
  void heed_taints(search& s) const;
  void prefer_cheap(search& s) const;
  void prefer_other_zones(search& s) const;
  void forget_shapes(bool relabelled);
  void forbid_apart(search& s) const;
  void demand_near(search& s) const;
  void limit_spread(search& s) const;
  void prefer_even(search& s, const domain_column& column, const std::vector<std::int64_t>& counts,
                   std::int64_t least) const;
  void wish(search& s, mask where, float part) const;
  mask around(const presence& who, const std::string& over) const;
  bool is_around(slot at, const std::string& who, const std::string& over) const;
  const domain_column& domains_of(const std::string& key) const;
  bool fits(const search& s, slot at) const;
  features look(const search& s, slot at) const;
  void adjust_single_nodes(search& s) const;
  void narrow_by_devices(search& s) const;
  float total(const search& s, slot at) const;
  std::optional<slot> best_of(const search& s) const;
  void best_within(const search& s, const mask* within, float bonus, std::optional<slot>& best,
                   float& best_score) const;
  std::optional<std::vector<std::uint32_t>> choose_gpus(slot at, const amount& need) const;
  void count_seen(const amount& need);
  void learn_mix() const;
  void note_change(slot at);
  const score_row& row_for(const amount& need, const features& weights) const;
  void bring_up_to_date(score_row& row, const amount& need, const features& weights) const;
  void follow_changes(score_row& row, const scan_question& x, bool whole_gpus, bool heeding) const;
  void refresh_losses(score_row& row, const amount& need, const features& weights, bool all) const;
  void refresh_loss(score_row& row, const amount& need, const part_weights& weights, slot at) const;
  free_parts parts_lost(const search& s, slot at) const;
  void make_room_for_row() const;
  node_refusal refuse(const search& s, slot at) const;
  /// What a node has too little of.
  struct lack {
    std::string_view cause;
    std::int64_t wanted = 0;
    std::int64_t free = 0;
    /// Of the devices none is of a model that is wanted.
    bool wrong_model = false;
  };
  std::optional<lack> find_lack(const request& x, slot at) const;
  bool lacks_reserved(const lack& x, slot at) const;
  /// Which nodes have too little of what, for requests that need the same. Kept until a node changes, and then only
  /// that node is looked at again.
  struct lack_row {
    std::vector<std::pair<std::string, mask>> by_cause;
    std::size_t size = 0;
    std::uint64_t seen = 0;
    std::uint64_t asked = 0;
  };
  const lack_row& lacks_for(const request& x) const;
  /// How many of less than a priority have to go at least before a node has room for what needs that; kept like the
  /// rest.
  struct victim_row {
    /// 0: not even all of them would do.
    std::vector<std::uint8_t> least;
    std::uint64_t seen = 0;
    std::uint64_t asked = 0;
  };
  std::uint8_t least_victims(slot at, const amount& need, std::int32_t priority) const;
  const victim_row& victims_for(const amount& need, std::int32_t priority) const;
  void find_lack_again(lack_row& row, const request& x, slot at) const;
  class tally;
  class elimination;
  void count_rules(elimination& e, const search& s) const;
  void count_neighbours(elimination& e, const search& s) const;
  void count_spread(elimination& e, const search& s) const;
  std::pair<std::int64_t, std::string> reserved_at(slot at, std::string_view resource) const;
  std::optional<node_refusal> refuse_by_rules(const search& s, slot at) const;
  std::optional<node_refusal> refuse_by_neighbours(const search& s, slot at) const;
  void rank_names() const;

  std::string default_policy_;
  std::map<std::string, features, std::less<>> defined_;
  std::map<std::string, slot> slots_;
  std::vector<slot> vacant_;

  // Columns.
  std::vector<node_shape> shapes_;
  std::vector<std::int64_t> cpu_free_, memory_free_, disk_free_;
  /// How many hold room, and the lowest priority among them.
  std::vector<std::uint32_t> guests_;
  std::vector<std::int32_t> least_;
  /// The same for the scan (scan.hpp): unit, free, crowd.
  struct scan_columns {
    std::vector<float> cpu_unit, memory_unit, gpu_unit, cpu, memory, disk, crowd, share, whole, gpus;
    void resize(std::size_t size);
    node_columns view() const;
  };
  /// And once more in one line of the cache per node: a single node is scored more often than all of them.
  struct alignas(64) scan_node {
    float cpu_unit, memory_unit, gpu_unit, cpu, memory, disk, crowd, share, whole, gpus;
  };
  std::vector<scan_node> scan_nodes_;
  scan_columns scan_;
  std::vector<std::vector<std::int64_t>> gpu_free_;
  std::vector<std::int64_t> gpu_whole_, gpu_share_, gpu_sum_;
  /// What is left of each extensible resource.
  std::unordered_map<std::string, std::vector<std::int64_t>> extra_free_;
  std::vector<std::vector<std::string>> images_;
  mask ready_, there_, drained_, lost_;
  std::set<slot> tainted_;

  /// The name in `present_` of a workload or a label, and of those who refuse to share a value of `over` with it.
  static std::string presence_of(const std::string& who);
  static std::string refusal_of(const std::string& who, const std::string& over);

  // Who is where: workloads, claims, and refusals.
  std::unordered_map<std::string, mask> label_masks_;
  std::unordered_map<std::string, mask> image_masks_;
  std::unordered_map<std::string, mask> kind_masks_;
  std::unordered_map<std::string, mask> model_masks_;
  mask every_kind_;
  std::unordered_map<std::string, presence> present_;
  /// Over which keys somebody has ever refused somebody.
  std::set<std::string> apart_over_;
  struct held_room;
  struct node_room {
    /// The slot of the node, while there is such a node.
    std::optional<slot> at;
    std::vector<held_room*> holds;
  };
  struct held_room {
    const std::string* key = nullptr;
    hold what;
    node_room* where = nullptr;
    std::size_t position = 0;
  };
  /// Who holds what, and what is held where. The two refer into each other: a copy is woven anew.
  struct occupancy {
    std::unordered_map<std::string, held_room> holds;
    /// By node: of those that are there and of those where something is held.
    std::unordered_map<std::string, node_room> rooms;
    /// By slot, where there is such a node.
    std::vector<node_room*> room_at;

    occupancy() { holds.max_load_factor(0.25f); }
    occupancy(const occupancy& other);
    occupancy(occupancy&&) = default;
    occupancy& operator=(occupancy other) noexcept;
  };
  occupancy held_;
  /// How many of them are of reservations.
  std::size_t reserved_ = 0;
  /// The node that was decided on last: whoever takes room mostly does so there.
  mutable slot decided_ = std::numeric_limits<slot>::max();

  // What is expected, and what each kind of request would lose where; kept until the node changes.
  std::map<std::pair<kind_of_need, std::string>, double> seen_;
  std::uint64_t seen_count_ = 0;
  std::uint64_t seen_without_ = 0;
  bool expects_ = false;
  std::vector<std::uint32_t> version_;
  mutable std::uint64_t learned_count_ = 0;
  mutable fragmentation mix_;
  mutable std::vector<free_parts> parts_;
  mutable std::vector<std::uint32_t> parts_version_;

  // What is known of the scores. `changes_` names the nodes in the order in which they changed.
  std::vector<slot> changes_;
  std::uint64_t changes_forgotten_ = 0;
  mutable std::map<std::pair<kind_of_need, features>, score_row> rows_;
  mutable std::uint64_t rows_asked_ = 0;
  using whole_need = std::tuple<kind_of_need, std::string, std::map<std::string, std::int64_t>>;
  mutable std::map<whole_need, lack_row> lacks_;
  mutable std::map<std::pair<kind_of_need, std::int32_t>, victim_row> victims_;
  /// Blocks of a row whose greatest score has to be found anew; empty between two looks.
  mutable mask stale_;
  /// What speaks for or against single nodes; zero between two decisions.
  mutable std::vector<float> adjust_;

  mutable std::vector<std::uint32_t> rank_;
  mutable bool ranked_ = false;
  /// Whether the slots are in the order of the names, as they are when nodes came in that order.
  mutable bool in_order_ = true;
  mutable std::unordered_map<std::string, mask> ready_kinds_;
  mutable std::unordered_map<std::string, domain_column> domains_;
  /// Which nodes a rule over labels holds of, by the words of the rule.
  mutable std::unordered_map<std::string, mask> rule_masks_;
  /// Nodes of about the same price, with how cheap they are.
  mutable std::vector<std::pair<mask, float>> prices_;
  mutable bool priced_ = false;
};

} // namespace novacron::scheduler
