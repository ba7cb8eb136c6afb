#pragma once

/// What a node counts about its scheduler, for /metrics.

#include "actors/host/metrics.hpp"
#include "messages/wire/scheduler.pb.h"

#include <memory>
#include <string>
#include <utility>

namespace novacron::scheduler {

/// Costs nothing when there is nowhere to count.
class numbers {
public:
  numbers() = default;
  explicit numbers(std::shared_ptr<host::metrics> all) : all_{std::move(all)} {
    if (!all_)
      return;
    placements_ =
        &all_->count("scheduler_placements_total", "Instances that were given a place, again each time they move.");
    decision_ = &all_->spread("scheduler_decision_seconds",
                              "Time to decide on all that changed since the round before.", host::seconds_of_steps());
    pending_ = &all_->level("scheduler_pending_instances", "Instances that fit nowhere at the moment.");
    leads_ = &all_->level("scheduler_leader", "Whether this node's scheduler decides: 1, or 0.");
  }

  bool counts() const { return all_ != nullptr; }
  void decided(double seconds) { decision_->observe(seconds); }
  void happened(const v1::Event& x) {
    if (!all_)
      return;
    if (x.noun() == "instance" && x.verb() == "placed")
      placements_->add();
    all_->count("scheduler_events_total", "What happened in the fabric, by noun and verb.",
                {{"noun", x.noun()}, {"verb", x.verb()}})
        .add();
  }
  void stands(std::size_t pending, bool leads) {
    if (!all_)
      return;
    pending_->set(static_cast<double>(pending));
    leads_->set(leads ? 1 : 0);
  }

private:
  std::shared_ptr<host::metrics> all_;
  host::counter* placements_ = nullptr;
  host::histogram* decision_ = nullptr;
  host::gauge* pending_ = nullptr;
  host::gauge* leads_ = nullptr;
};

} // namespace novacron::scheduler
