#pragma once

/// What a node counts about the instances it runs, for /metrics.

#include "actors/host/metrics.hpp"
#include "messages/wire/workload.pb.h"

#include <cctype>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace novacron::workload {

/// Costs nothing when there is nowhere to count.
class agent_numbers {
public:
  agent_numbers() = default;
  explicit agent_numbers(std::shared_ptr<host::metrics> all) : all_{std::move(all)} {
    if (!all_)
      return;
    starts_ = &all_->count("agent_starts_total", "Instances that were started and came to run.");
    duration_ = &all_->spread("agent_start_seconds", "Time from taking an instance on to its running.",
                              host::seconds_of_answers());
    restarts_ = &all_->count("agent_restarts_total", "Times that an instance was started again where it was.");
    stands({});
  }

  void started(double seconds) {
    if (!all_)
      return;
    starts_->add();
    duration_->observe(seconds);
  }
  void restarted(std::uint64_t times) {
    if (restarts_)
      restarts_->add(times);
  }
  void stands(const std::map<v1::Phase, std::size_t>& by_phase) {
    if (!all_)
      return;
    for (auto i = static_cast<int>(v1::PHASE_PENDING); i <= v1::Phase_MAX; ++i) {
      const auto found = by_phase.find(static_cast<v1::Phase>(i));
      if (v1::Phase_IsValid(i))
        all_->level("agent_instances", "Instances on this node, by phase.",
                    {{"phase", word(static_cast<v1::Phase>(i))}})
            .set(found == by_phase.end() ? 0 : static_cast<double>(found->second));
    }
  }

private:
  /// "running" for PHASE_RUNNING.
  static std::string word(v1::Phase x) {
    auto text = v1::Phase_Name(x).substr(sizeof "PHASE_" - 1);
    for (auto& c : text)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
  }

  std::shared_ptr<host::metrics> all_;
  host::counter* starts_ = nullptr;
  host::histogram* duration_ = nullptr;
  host::counter* restarts_ = nullptr;
};

} // namespace novacron::workload
