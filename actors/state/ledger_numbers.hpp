#pragma once

/// What a node counts about its ledger, for /metrics.

#include "actors/host/metrics.hpp"

#include <memory>
#include <string>

namespace novacron::ledger {

/// Costs nothing when there is nowhere to count.
class numbers {
public:
  numbers() = default;
  explicit numbers(std::shared_ptr<host::metrics> all) : all_{std::move(all)} {
    if (!all_)
      return;
    for (const auto* result : {"applied", "conflict", "failed"})
      command(result);
    commit_ = &all_->spread("ledger_commit_seconds", "Time from a command to its answer by the ledger.",
                            host::seconds_of_answers());
    waiting_ = &all_->level("ledger_waiting_orders", "Commands and reads that wait for an answer of the ledger.");
    records_ = &all_->level("ledger_records", "Records in this node's copy of the ledger.");
    applied_ = &all_->level("ledger_applied_index", "The last entry of the log that is in this node's copy.");
    leads_ = &all_->level("ledger_leader", "Whether this node leads the ledger: 1, or 0.");
    starts_ = &all_->count("ledger_process_starts_total", "How often the ledger's process was started.");
  }

  void answered(const char* result, double seconds) {
    if (!all_)
      return;
    command(result).add();
    commit_->observe(seconds);
  }
  void waits(std::size_t count) { set(waiting_, static_cast<double>(count)); }
  void holds(std::size_t records, std::uint64_t index) {
    set(records_, static_cast<double>(records));
    set(applied_, static_cast<double>(index));
  }
  void leads(bool here) { set(leads_, here ? 1 : 0); }
  /// `starts` since the actor began.
  void started(std::uint64_t starts) {
    if (starts_ && starts > seen_)
      starts_->add(starts - seen_);
    seen_ = starts;
  }

private:
  static void set(host::gauge* which, double value) {
    if (which)
      which->set(value);
  }
  host::counter& command(const char* result) {
    return all_->count("ledger_commands_total", "Commands given to the ledger, by what became of them.",
                       {{"result", result}});
  }

  std::shared_ptr<host::metrics> all_;
  host::histogram* commit_ = nullptr;
  host::gauge* waiting_ = nullptr;
  host::gauge* records_ = nullptr;
  host::gauge* applied_ = nullptr;
  host::gauge* leads_ = nullptr;
  host::counter* starts_ = nullptr;
  std::uint64_t seen_ = 0;
};

} // namespace novacron::ledger
