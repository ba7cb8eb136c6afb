#pragma once

/// What the ledger says of workloads, instances and nodes, indexed for decisions.

#include "messages/wire/ledger.pb.h"
#include "messages/wire/scheduler.pb.h"
#include "messages/wire/workload.pb.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace novacron::scheduler {
namespace wire = novacron::v1;

template <class T>
struct kept {
  T value;
  std::uint64_t revision = 0;
};

/// Where the settings of the whole cluster are.
inline constexpr auto settings_key = std::string_view{"setting/scheduler"};

/// A mirror of the ledger. Records of other rooms pass by unseen.
class truth {
public:
  std::uint64_t index = 0;
  std::map<std::string, kept<wire::WorkloadRecord>> workloads;
  std::map<std::string, kept<wire::Instance>> instances;
  std::map<std::string, kept<wire::NodeRecord>> nodes;
  std::map<std::string, kept<wire::Quota>> quotas;
  /// Policies that were written down.
  std::map<std::string, kept<wire::Policy>> policies;
  /// Room that is kept, or will be.
  std::map<std::string, kept<wire::Reservation>> reservations;
  /// The moves of running instances, those that are over too.
  std::map<std::string, kept<wire::Migration>> migrations;
  kept<wire::SchedulerSettings> settings;
  /// Specs of former generations that instances still have, by "web/3".
  std::map<std::string, wire::WorkloadSpec> generations;

  void write(const wire::LedgerEntry& entry);
  void remove(const std::string& key);

  const wire::Instance* find_instance(const std::string& name) const;
  const wire::WorkloadRecord* find_workload(const std::string& name) const;
  std::uint64_t revision_of(const std::string& key) const;

  /// Names of a workload's instances by ordinal.
  const std::map<std::uint32_t, std::string>& instances_of(const std::string& workload) const;
  /// Names of the instances that a node has or had last, former copies included.
  const std::set<std::string>& instances_on(const std::string& node) const;
  /// Of these, the names of those that shall end.
  const std::set<std::string>& ending_on(const std::string& node) const;
  /// Generations of a workload that have a record of their own.
  std::set<std::uint64_t> generations_of(const std::string& workload) const;

  /// The spec of that generation; null when nobody knows it any more.
  const wire::WorkloadSpec* spec_of(const std::string& workload, std::uint64_t generation) const;
  /// Whether an instance of that generation would have to be started anew to be as the workload wants it now.
  bool outdated(const std::string& workload, std::uint64_t generation) const;

private:
  void index_instance(const wire::Instance& x, bool present);

  std::map<std::string, std::map<std::uint32_t, std::string>> of_workload_;
  std::map<std::string, std::set<std::string>> on_node_;
  std::map<std::string, std::set<std::string>> ending_on_;
  std::map<std::string, std::string> templates_;
};

/// The parts of a spec that only a new start can change, as comparable text.
std::string template_of(const wire::WorkloadSpec& spec);

/// "web/3".
std::string generation_key(const std::string& workload, std::uint64_t generation);

} // namespace novacron::scheduler
