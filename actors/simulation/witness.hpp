#pragma once

/// Sees from outside what really runs where, and notes what must never be.

#include "actors/simulation/machine.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace novacron::simulation {

/// Something that must never be.
struct violation {
  moment when{0};
  /// "capacity", "twice", "lost order", ...
  std::string rule;
  std::string text;
};

class witness : public run_watcher {
public:
  /// `leaving` says whether the truth lets that copy of an instance run on beside its successor.
  witness(std::function<moment()> now, std::function<bool(const std::string& instance, std::uint64_t epoch)> leaving)
      : now_{std::move(now)}, leaving_{std::move(leaving)} {}

  void add(const machine& host);
  void began(host_number where, const wire::Instance& what) override;
  void ended(host_number where, const wire::Instance& what) override;
  void accuse(std::string rule, std::string text);

  const std::vector<violation>& violations() const { return violations_; }
  /// Instances that run now.
  std::size_t running() const { return running_; }
  std::size_t running(const std::string& workload) const;
  std::size_t running_on(host_number where) const { return load_[where].runs; }
  std::uint64_t starts() const { return starts_; }
  std::uint64_t ends() const { return ends_; }
  const wire::Resources& used_on(host_number where) const { return load_[where].used; }

private:
  struct copy {
    host_number where = 0;
    std::uint64_t epoch = 0;
    bool replaceable = false;
    /// Its successor was let start beside it; its node may hear late that it is to end.
    bool outgoing = false;
  };
  struct host_load {
    const machine* host = nullptr;
    wire::Resources used;
    std::size_t runs = 0;
  };
  void check_copies(const wire::Instance& what, const copy& fresh);
  void check_capacity(host_number where);

  std::function<moment()> now_;
  std::function<bool(const std::string&, std::uint64_t)> leaving_;
  std::vector<host_load> load_;
  std::map<std::string, std::vector<copy>> live_;
  std::map<std::string, std::size_t> of_workload_;
  std::size_t running_ = 0;
  std::uint64_t starts_ = 0;
  std::uint64_t ends_ = 0;
  std::vector<violation> violations_;
};

} // namespace novacron::simulation
