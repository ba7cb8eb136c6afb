#pragma once

/// Keeps what runs as it is desired: from the ledger and what is seen of the nodes to changes of the ledger,
/// assignments for the nodes, and news.

#include "actors/scheduler/demand.hpp"
#include "actors/scheduler/move_rules.hpp"
#include "actors/scheduler/orders.hpp"
#include "actors/scheduler/placement.hpp"
#include "actors/scheduler/preemption.hpp"
#include "actors/scheduler/quota.hpp"
#include "actors/scheduler/rebalance.hpp"
#include "actors/scheduler/reservation.hpp"
#include "actors/scheduler/run_times.hpp"
#include "actors/scheduler/sight.hpp"
#include "actors/scheduler/trace.hpp"
#include "actors/scheduler/truth.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace novacron::scheduler {

struct reconcile_config {
  sight_config sight;
  /// The node this runs on, as it signs assignments.
  std::string node;
  /// The policy of workloads that name none.
  std::string policy = "balance";
  /// How much longer than `stop_after` and its grace a lost node's instance is trusted to run on: what a busy machine
  /// may take to kill it.
  duration stop_margin = std::chrono::seconds{5};
  /// And by which part of `stop_after`: its clock may be slower than ours by a ninth.
  int stop_margin_part = 8;
  /// The first and the longest delay before a failed instance is placed again, where its spec says nothing.
  duration retry_delay = std::chrono::seconds{1};
  duration retry_delay_max = std::chrono::seconds{60};
  /// After running this long an instance's former failures no longer count.
  duration forgive_after = std::chrono::minutes{10};
  /// At most about this many operations go into one ledger command.
  std::size_t ops_max = 2000;
  /// And about this many bytes; a message may have 1 MiB.
  std::size_t bytes_max = 512 * 1024;
  /// How many instances that fit nowhere may look for others to move aside, in one round: each tries several nodes.
  std::size_t preemptions_max = 64;
  /// Who found no room for this long has what becomes free on one node kept for it (for a gang, on as many as it
  /// needs) from those that are no more important: it waits until what ran there then has ended, and no longer.
  duration overdue_after = std::chrono::minutes{5};
  /// After so many requests, and not more often than this, a policy that was learned and is the cluster's is judged by
  /// them: some ten milliseconds.
  std::size_t judge_after = 500;
  duration judge_every = std::chrono::minutes{10};
  /// What nobody can guess, for each move that is begun without being asked for by name. Without it what has to leave
  /// its node is always started anew.
  std::function<std::string()> draw_token = nullptr;
};

/// All that a node shall run, or what changed in it.
using assignment = std::variant<wire::Assign, wire::AssignChange>;

class reconciler {
public:
  explicit reconciler(reconcile_config settings);

  // -- what the ledger says
  void reset(const wire::LedgerEntries& all);
  void apply(const wire::LedgerChanged& change);
  const truth& facts() const { return truth_; }

  // -- whether this one decides
  void lead(instant now);
  void follow();

  // -- what the nodes say
  void arrive(const wire::NodeFacts& facts, instant now);
  void depart(const std::string& node, const std::string& reason, instant now);
  void report(const wire::NodeReport& report, instant now, std::int64_t now_ms);
  /// False when it changes another report than the node's last one here: nothing is taken from it.
  [[nodiscard]] bool report(const wire::ReportChange& change, instant now, std::int64_t now_ms);

  // -- what follows
  /// The next change of the ledger, all or nothing; empty when all is as it can be. Until it was applied or
  /// `refused`, its room counts as taken and it must not be asked again.
  std::vector<wire::LedgerOp> propose(instant now, std::int64_t now_ms);
  /// The last proposal was not applied: the room it took is free again.
  void refused();
  /// New assignments for nodes that are present: the whole, or what changed since the last one that the node has. Of
  /// each node one is on its way at a time, until it is delivered or not.
  std::vector<assignment> assign();
  /// The node has the assignment with that revision.
  void delivered(const std::string& node, std::uint64_t revision);
  /// It is not known what this node has: the whole is made for it when it is here.
  void undelivered(const std::string& node);
  /// When time alone will make `propose` say something new.
  std::optional<instant> wake() const;
  /// What happened since the last call; events carry neither number nor time yet.
  std::vector<wire::Event> take_events();

  // -- what people see
  wire::WorkloadList list_workloads(const std::string& name) const;
  wire::NodeList list_nodes(const std::string& name) const;
  std::optional<wire::Explanation> explain(const std::string& name) const;
  wire::Plan plan(const wire::WorkloadSpec& wanted) const;
  /// What would become of what is on a node, if that were drained now.
  wire::Plan plan_drain(const std::string& node) const;
  wire::QuotaList list_quotas() const;
  wire::PolicyList list_policies() const;
  wire::ReservationList list_reservations() const;
  /// What is better off elsewhere; unless it is a dry run, the next proposals move it.
  wire::Plan rebalance(const wire::Rebalance& asked);
  /// Has a running instance move to another node, if it can; `token` is what nobody can guess. What is written is only
  /// the begin.
  order migrate(const wire::Migrate& asked, std::int64_t now_ms, const std::string& token);
  wire::MigrationList list_migrations(const std::string& name) const;
  /// Whether the node is here now.
  bool present(const std::string& node) const { return sight_.present(node); }
  /// How many instances fit nowhere.
  std::size_t waiting() const { return waiting_.size(); }

private:
  using names = std::vector<std::string>;
  struct round;

  // reconciler.cpp
  void touch(const std::string& workload) { dirty_.insert(workload); }
  void touch_for(const wire::Instance& x, const sighting& news);
  void touch_instance(const std::string& node, const std::string& name);
  void touch_node(const std::string& node);
  void refresh_node(const std::string& node);
  void sync_hold(const std::string& instance);
  void hold_as(const wire::Instance& x);
  void hold_strays(const std::string& node);
  void forget_strays(const std::string& node);
  void written(const wire::LedgerEntry& entry);
  void forget_priority(std::int32_t priority);
  void removed(const std::string& key);
  void tell(std::string noun, std::string name, std::string verb, std::string reason = {}, std::string node = {});
  void tell_instance(const wire::Instance& before, const wire::Instance& now);
  void note_run_time(const wire::Instance& before, const wire::Instance& now);
  template <class Report>
  void heed(const Report& report, const std::vector<sighting>& changes, bool was_present);
  void record_nodes(round& r);

  // assigning.cpp
  wire::Assign whole_assignment(const std::string& node) const;
  wire::AssignChange assignment_change(const std::string& node, std::uint64_t base,
                                       const std::set<std::string>& of) const;
  template <class Assignment>
  bool add_copies(Assignment& to, const wire::Instance& x, const std::string& node) const;

  // converge.cpp
  void converge(round& r, const std::string& workload);
  void converge_service(round& r, const wire::WorkloadRecord& record);
  bool follow_conversion(round& r, const wire::WorkloadRecord& record);
  void converge_batch(round& r, const wire::WorkloadRecord& record);
  void converge_end(round& r, const std::string& workload, const wire::WorkloadRecord* record);
  void tidy_generations(round& r, const wire::WorkloadRecord& record);
  void retire(round& r, const wire::Instance& x, wire::Phase final_phase, const std::string& reason);
  bool gone(round& r, const wire::Instance& x, const wire::WorkloadSpec* spec);
  template <class Copy>
  bool copy_gone(round& r, const wire::Instance& x, const Copy& copy, const wire::WorkloadSpec* spec);
  bool lost_for_good(round& r, const wire::Instance& x, const wire::WorkloadSpec& spec, const std::string& node,
                     std::uint64_t generation);
  bool settle_service(round& r, const wire::WorkloadRecord& record, const wire::Instance& x);
  void settle_failure(round& r, const wire::WorkloadRecord& record, const wire::Instance& x,
                      const seen_instance& seen);
  bool settle_batch(round& r, const wire::WorkloadRecord& record, const wire::Instance& x, bool* live, bool* done);
  wire::Instance ended(const wire::Instance& x, wire::Phase outcome, const wire::InstanceStatus& status) const;
  bool on_drained_node(const wire::Instance& x) const;
  std::string why_leave(const wire::WorkloadSpec& spec, const wire::Instance& x) const;
  bool rested(round& r, const wire::WorkloadRecord& record, const wire::Instance& x);
  void place_missing(round& r, const wire::WorkloadRecord& record, const std::vector<std::uint32_t>& missing);
  std::optional<wire::Instance> place_one(round& r, const wire::WorkloadRecord& record, const request& wanted,
                                          std::uint32_t ordinal);
  wire::Instance placed(round& r, const wire::WorkloadRecord& record, std::uint32_t ordinal, const decision& where) const;
  void unplace(round& r, const wire::WorkloadRecord& record, std::uint32_t ordinal, const std::string& why);
  std::optional<decision> find_place(const wire::Instance& x, const request& wanted);
  void drain_and_update(round& r, const wire::WorkloadRecord& record);
  bool move_off(round& r, const wire::WorkloadRecord& record, const wire::Instance& x, bool make_before_break);
  bool update(round& r, const wire::WorkloadRecord& record, const wire::Instance& x);
  bool available(const wire::WorkloadSpec& spec, const wire::Instance& x) const;
  void wait(const std::string& instance, std::string reason);
  void note_wait(const wire::WorkloadSpec& spec, const request& wanted, const std::string& instance);
  const std::string& why_nowhere(const request& wanted);
  void write(round& r, const wire::Instance& x);
  void remove(round& r, const std::string& key);
  void finish(round& r, const wire::WorkloadRecord& record, wire::Phase outcome, std::string reason);
  request wanted_for(const wire::WorkloadSpec& spec, const std::string& instance) const;

  // room_making.cpp
  void heed_setting(const std::string& key);
  void heed_policy(const std::string& name);
  std::string default_policy() const;
  void count(const wire::Instance& x);
  void uncount(const std::string& instance);
  std::string beyond_quota(const wire::WorkloadSpec& spec, const std::string& instance);
  void count_capacity(const wire::NodeRecord& x, int sign);
  const wire::WorkloadRecord* settled(const wire::Instance& x) const;
  void shift(round& r, const wire::WorkloadRecord& record, const wire::Instance& x, const decision& where,
             const std::string& reason, bool make_before_break);
  bool room_is_coming(const std::string& instance) const;
  bool may_preempt(const wire::WorkloadSpec& spec) const;
  std::string forget_made_room(const std::string& instance);
  void forget_idle_rooms();
  std::string make_room(round& r, const wire::WorkloadRecord& record, const request& wanted,
                        const std::string& instance);
  std::vector<planned_move> find_moves(std::size_t moves_max, const std::string& policy) const;
  void rebalance_when_due(round& r);
  bool moves_while_it_runs(const wire::Instance& x, const wire::WorkloadRecord& record) const;
  void make_moves(round& r);

  // moving.cpp
  std::string why_not_live(const wire::Instance& x, const wire::WorkloadSpec& spec) const;
  std::string why_not_move(const wire::Instance& x, const wire::WorkloadSpec& spec, const wire::Migrate& asked,
                           std::int64_t now_ms) const;
  move_slots taken_slots(std::int64_t now_ms) const;
  wire::Migration move_record(const wire::Instance& x, const wire::WorkloadSpec& spec, const wire::Migrate& asked,
                              std::int64_t now_ms) const;
  void begin_move(round& r, const wire::WorkloadRecord& record, const wire::Instance& x, const std::string& target,
                  std::string_view cause, const std::string& reason);
  std::string why_not_there(const request& wanted, const std::string& node) const;
  wire::MoveEstimate expect_move(const wire::Instance& x, const wire::WorkloadSpec& spec,
                                 const std::string& target) const;
  void attend_moves(round& r);
  void attend_move(round& r, const wire::Migration& each);
  void keep(round& r, const wire::Migration& each, const std::string& why);
  void forget_old_moves(round& r);

  // leaving.cpp
  std::int64_t leaves_since(const wire::Instance& x) const;
  leave_choice choose_leave_of(const wire::WorkloadRecord& record, const wire::Instance& x, std::int64_t now_ms) const;
  leave_choice leave_running(round& r, const wire::WorkloadRecord& record, const wire::Instance& x);

  // room_freeing.cpp
  void free_on(const std::string& node);
  void touch_waiting();
  bool may_help(const std::string& workload, const std::vector<amount>& free) const;

  // policy_judging.cpp
  void note_asked(const request& wanted);
  void judge_policy(round& r);

  // room_reserving.cpp
  std::optional<decision> place(const request& wanted);
  void heed_reservation(const std::string& name);
  void settle_reservations(round& r);
  std::vector<std::string> places_for(const wire::Reservation& x) const;
  void hold_reserved_room();
  void draw(const std::string& key, const wire::WorkloadRecord* record, const wire::WorkloadSpec& spec,
            const std::string& node);
  wire::ReservationView view(const wire::Reservation& x) const;
  amount open_capacity(const std::string& node, const request& wanted) const;

  // room_keeping.cpp
  std::optional<std::string> overdue(const round& r) const;
  void give_room_back();
  void keep_room(const std::string& workload, std::size_t places);
  std::vector<std::string> choose_nodes(const request& wanted, std::size_t places) const;
  std::int64_t room_in(const std::string& node, amount free, const amount& need) const;
  std::optional<std::int64_t> ends_in(const std::string& instance) const;

  // views.cpp
  wire::WorkloadView view(const wire::WorkloadRecord& record) const;
  wire::InstanceStatus view(const wire::Instance& x) const;
  wire::NodeView view(const std::string& name, const wire::NodeRecord& record) const;

  reconcile_config settings_;
  truth truth_;
  sight sight_;
  cluster cluster_;
  /// Policies that were written down, as they were when they stood their trial, and why they are not used.
  struct policy_trial {
    std::string record;
    std::string wrong;
  };
  std::map<std::string, policy_trial> policy_trials_;
  /// What was asked for lately, oldest first from `asked_at_` on, and how much of it since the policy was judged.
  std::vector<trace_pod> asked_;
  std::size_t asked_at_ = 0;
  std::size_t asked_since_ = 0;
  std::optional<instant> judged_at_;
  bool leads_ = false;
  /// Something changed for all of them: who waits may have a place now. Or only on these nodes something became free.
  bool capacity_ = false;
  std::set<std::string> freed_;
  /// Workloads of which one found no place when too many had looked for others to move in that round.
  std::set<std::string> turn_to_come_;
  /// For whom nothing counts but how much is free on a node: what an instance needs, and which one waits.
  struct plain_wait {
    amount need;
    std::string instance;
    bool preempts = false;
  };
  std::map<std::string, plain_wait> plain_waits_;
  /// Somebody's turn is still to come, though nothing was written.
  bool more_ = false;
  /// Why the spec that is looked at fits nowhere: the same for all of its instances.
  std::optional<std::string> nowhere_;
  std::set<std::string> dirty_;
  /// Services of which all is where it shall be and as new as it shall be: from what starts there, nothing follows.
  std::set<std::string> calm_;
  std::set<std::string> waiting_workloads_;
  std::map<std::string, std::string> waiting_;
  std::map<std::string, std::string> waited_;
  std::set<std::pair<instant, std::string>> timers_;
  std::map<std::string, instant> not_before_;
  std::map<std::string, names> avoid_;
  /// Nodes whose assignment may be another than the one they have, and the instances that changed on them.
  std::map<std::string, std::set<std::string>> dirty_nodes_;
  struct sent_assignment {
    std::uint64_t revision = 0;
    bool whole = false;
    bool delivered = false;
    /// Instances that changed while it was on its way.
    std::set<std::string> since;
  };
  std::map<std::string, sent_assignment> sent_;
  /// A node that was away may still run what others have been given since.
  struct returned_node {
    bool heard = false;
    /// What takes room there, by the keys in the cluster.
    names strays;
  };
  std::map<std::string, returned_node> returned_;
  std::set<std::string> unrecorded_nodes_;
  names proposed_;
  quotas quotas_;
  /// What each instance counts for which tenant.
  std::map<std::string, std::pair<std::string, amount>> counted_;
  amount capacity_total_;
  /// How many workloads there are of each priority.
  std::map<std::int32_t, std::size_t> priorities_;
  /// Since when workloads find no room for an instance, and how many they look for; whom no node could ever hold; for
  /// whom room is kept, and where.
  std::map<std::string, instant> roomless_since_;
  std::map<std::string, std::size_t> roomless_;
  std::optional<instant> was_roomless_;
  std::set<std::string> hopeless_;
  std::string kept_for_;
  names kept_on_;
  /// Room that is kept by order. Nodes came or went, or one was ordered: places may have to be found; and when time
  /// alone changes something.
  reservations reserved_;
  bool places_due_ = true;
  std::optional<instant> next_reservation_;
  /// Of the jobs that ended while this one decided.
  run_times run_times_;
  /// When it last decided.
  std::int64_t now_ms_ = 0;
  /// Who is on the way out for the sake of an instance. Its room is held in the cluster meanwhile, so that nobody else
  /// takes what they leave.
  std::map<std::string, names> making_room_;
  /// Moves to better places that are still to be made, and whose are being made.
  std::deque<planned_move> moves_;
  names moving_;
  std::size_t wave_ = 0;
  /// Moves that are begun, but not seen in the ledger yet, by instance: they take their turn already.
  struct begun_move {
    std::string migration;
    std::string source;
    std::string target;
    std::int64_t began_ms = 0;
  };
  std::map<std::string, begun_move> begun_;
  /// Workloads that look at their turn again when a move is over.
  std::set<std::string> awaiting_turn_;
  std::optional<instant> next_rebalance_;
  std::vector<wire::Event> events_;
};

/// "web.0".
std::string instance_name(const std::string& workload, std::uint32_t ordinal);

} // namespace novacron::scheduler
