#pragma once

/// What is seen of the nodes: who is there, who has gone quiet, and what each one reports.

#include "messages/vocabulary.hpp"
#include "messages/wire/agent.pb.h"
#include "messages/wire/node.pb.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace novacron::scheduler {
namespace wire = novacron::v1;

struct sight_config {
  /// How long a node may be away before it counts as lost.
  duration patience = std::chrono::seconds{5};
  /// How long a new leader waits to hear from a node before the node's patience begins.
  duration grace = std::chrono::seconds{5};
  /// How long a node without a link of its own counts as present after a report.
  duration silence = std::chrono::seconds{8};
};

/// What a node said of one instance.
struct seen_instance {
  wire::InstanceStatus status;
  /// Since when it runs without a break, as far as we heard.
  std::optional<instant> running_since;
};

struct seen_node {
  bool linked = false;
  bool lost = false;
  std::optional<instant> heard;
  /// Since when nobody hears it; none while it is present.
  std::optional<instant> away_since;
  std::optional<instant> lost_at;
  std::uint64_t incarnation = 0;
  std::vector<std::uint64_t> former_incarnations;
  std::uint64_t report_number = 0;
  /// The assignment it follows, by its last report; none before the first report.
  std::optional<std::uint64_t> revision;
  /// It understands what only says what changed.
  bool takes_changes = false;
  std::optional<wire::NodeFacts> facts;
  std::map<std::pair<std::string, std::uint64_t>, seen_instance> instances;
  wire::Resources used;
  std::string reason;
  std::int64_t heard_ms = 0;
  /// When time alone changes it next.
  std::optional<instant> due;

  bool present() const { return !away_since; }
};

/// A change of an instance's phase or health in a report.
struct sighting {
  std::string instance;
  wire::InstanceStatus before;
  wire::InstanceStatus now;
};

class sight {
public:
  explicit sight(sight_config settings = {}) : settings_{settings} {}

  void arrive(const wire::NodeFacts& facts, instant now);
  void depart(const std::string& node, const std::string& reason, instant now);
  /// Takes a report and returns what changed; none when the report is an old or repeated one.
  std::optional<std::vector<sighting>> report(const wire::NodeReport& report, instant now, std::int64_t now_ms);
  /// The same for what changed since the node's last report; none when that was another one.
  std::optional<std::vector<sighting>> report(const wire::ReportChange& change, instant now, std::int64_t now_ms);
  /// Begins to wait for these nodes: the patience of those who are not here runs from the end of the grace.
  void expect(const std::vector<std::string>& nodes, instant now);
  /// Forgets that anybody is away or lost, as one who does not decide.
  void rest();
  void forget(const std::string& node);
  /// Returns the nodes whose presence changed by the passing of time until `now`.
  std::vector<std::string> pass(instant now);
  /// When `pass` has something to do next.
  std::optional<instant> next() const;

  const seen_node* find(const std::string& node) const;
  const seen_instance* find(const std::string& node, const std::string& instance, std::uint64_t epoch) const;
  bool present(const std::string& node) const;

private:
  bool accept(seen_node& x, const wire::NodeReport& report);
  template <class Report>
  void hear(seen_node& x, const Report& report, instant now, std::int64_t now_ms);
  void set_due(const std::string& node, seen_node& x);

  sight_config settings_;
  std::map<std::string, seen_node> nodes_;
  /// Those who have no link, the only ones whom time can change, and when.
  std::set<std::pair<instant, std::string>> due_;
};

/// Whether an instance in this phase has a process.
bool is_live(wire::Phase phase);

} // namespace novacron::scheduler
