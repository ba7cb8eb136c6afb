#include "actors/scheduler/move_rules.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace novacron::scheduler {
namespace {

/// Chosen: the second attempt goes to another node, so that a third would most likely fail as these did.
constexpr auto attempts_max = std::size_t{2};
/// Chosen: after this what was wrong may be over.
constexpr auto attempt_counts_ms = std::int64_t{10} * 60 * 1000;

std::pair<std::string, std::string> link_of(const std::string& one, const std::string& other) {
  return std::minmax(one, other);
}

bool is_machine(const wire::WorkloadSpec& spec) {
  return spec.kind() == wire::WORKLOAD_KIND_VM || spec.kind() == wire::WORKLOAD_KIND_SANDBOX;
}

} // namespace

std::string why_never_live(const wire::WorkloadSpec& spec) {
  if (!is_machine(spec))
    return "it is no virtual machine and no sandbox: only these are moved while they run";
  if (spec.network().mode() != "none")
    return "it has a network whose addresses are its node's, and connections would break: only what has the network "
           "mode \"none\" is moved while it runs";
  if (spec.resources().gpu_milli() > 0)
    return "it uses a GPU, whose state cannot be moved";
  return {};
}

// -- how many at a time ------------------------------------------------------------------------

void move_slots::take(const std::string& source, const std::string& target) {
  ++of_node_[source];
  ++of_node_[target];
  ++of_link_[link_of(source, target)];
}

std::size_t move_slots::taken_of(const std::string& node) const {
  const auto found = of_node_.find(node);
  return found == of_node_.end() ? 0 : found->second;
}

std::size_t move_slots::taken_between(const std::string& one, const std::string& other) const {
  const auto found = of_link_.find(link_of(one, other));
  return found == of_link_.end() ? 0 : found->second;
}

bool move_slots::free(const std::string& source, const std::string& target) const {
  return has_free(source) && has_free(target) && taken_between(source, target) < of_link_max;
}

std::string move_slots::why_not(const std::string& source, const std::string& target) const {
  if (taken_between(source, target) >= of_link_max)
    return fmt::format("something moves between {} and {} already", source, target);
  for (const auto& node : {source, target})
    if (!has_free(node))
      return fmt::format("{} has {} moves under way already", node, taken_of(node));
  return {};
}

std::vector<std::string> move_slots::closed_from(const std::string& source) const {
  auto closed = std::vector<std::string>{};
  for (const auto& [node, taken] : of_node_)
    if (node != source && !free(source, node))
      closed.push_back(node);
  return closed;
}

// -- how to leave ------------------------------------------------------------------------------

std::string why_anew(const wire::WorkloadSpec& spec, const leave_choice& choice) {
  return is_machine(spec) ? choice.why : std::string{};
}

bool counts_as_attempt(const wire::Migration& x, std::int64_t now_ms) {
  return x.phase() == "kept" && x.cause() == cause_drain && now_ms - x.ended_ms() < attempt_counts_ms;
}

leave_choice choose_leave(const std::string& why_not, const std::vector<const wire::Migration*>& moves,
                          const std::string& instance, const std::string& source, std::int64_t since_ms,
                          std::int64_t now_ms) {
  auto x = leave_choice{};
  if (!why_not.empty()) {
    x.how = leave_choice::way::restart;
    x.why = why_not;
    return x;
  }
  const wire::Migration* last = nullptr;
  for (const auto* each : moves) {
    if (each->instance() != instance || each->source() != source || each->began_ms() < since_ms ||
        !counts_as_attempt(*each, now_ms))
      continue;
    if (each->reason() == was_cancelled) {
      x.how = leave_choice::way::wait;
      x.why = fmt::format("its move to {} was cancelled, and is tried again after a while; `migrate` moves it now",
                          each->target());
      x.until_ms = std::max(x.until_ms, each->ended_ms() + attempt_counts_ms);
      continue;
    }
    x.failed_at.push_back(each->target());
    if (last == nullptr || each->ended_ms() >= last->ended_ms())
      last = each;
  }
  if (x.how == leave_choice::way::live && x.failed_at.size() >= attempts_max) {
    x.how = leave_choice::way::restart;
    x.why = fmt::format("{} attempts failed, the last one, to {}, because {}", x.failed_at.size(), last->target(),
                        last->reason());
  }
  return x;
}

} // namespace novacron::scheduler
