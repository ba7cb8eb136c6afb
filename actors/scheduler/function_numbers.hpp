#pragma once

/// What a node counts about the calls of functions, for /metrics.

#include "actors/host/metrics.hpp"

#include <memory>
#include <string>
#include <utility>

namespace novacron::scheduler {

/// Costs nothing when there is nowhere to count.
class function_numbers {
public:
  function_numbers() = default;
  explicit function_numbers(std::shared_ptr<host::metrics> all) : all_{std::move(all)} {
    if (!all_)
      return;
    waiting_ = &all_->level("function_calls_waiting", "Calls of functions that wait for an instance.");
    running_ = &all_->level("function_calls_running", "Calls of functions that are being handled.");
    for (const auto* how : {"answered", "failed", "late", "lost", "refused"})
      calls(how);
    for (const auto* start : {"cold", "warm"})
      seconds(start);
  }

  /// `result` is "answered", "failed" (by the handler), "late", "lost" (nobody knows), or "refused" (never begun).
  void ended(const char* result) {
    if (all_)
      calls(result).add();
  }
  void took(bool cold, double all_seconds) {
    if (all_)
      seconds(cold ? "cold" : "warm").observe(all_seconds);
  }
  void stand(std::size_t waiting, std::size_t running) {
    if (!all_)
      return;
    waiting_->set(static_cast<double>(waiting));
    running_->set(static_cast<double>(running));
  }

private:
  host::counter& calls(const char* result) {
    return all_->count("function_calls_total", "Calls of functions that are over, by how they went.",
                       {{"result", result}});
  }
  host::histogram& seconds(const char* start) {
    return all_->spread("function_call_seconds",
                        "Time from a call to its answer, by whether it waited for an instance to start.",
                        host::seconds_of_answers(), {{"start", start}});
  }

  std::shared_ptr<host::metrics> all_;
  host::gauge* waiting_ = nullptr;
  host::gauge* running_ = nullptr;
};

} // namespace novacron::scheduler
