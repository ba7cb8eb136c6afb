#include "actors/simulation/witness.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace novacron::simulation {
namespace {

/// Enough to understand what goes wrong; a broken rule is often broken again and again.
constexpr std::size_t violations_max = 100;

void add_to(wire::Resources& sum, const wire::Resources& x, bool more) {
  const auto change = [more](std::uint64_t a, std::uint64_t b) { return more ? a + b : a - std::min(a, b); };
  sum.set_cpu_milli(change(sum.cpu_milli(), x.cpu_milli()));
  sum.set_memory_bytes(change(sum.memory_bytes(), x.memory_bytes()));
  sum.set_disk_bytes(change(sum.disk_bytes(), x.disk_bytes()));
  sum.set_gpu_milli(change(sum.gpu_milli(), x.gpu_milli()));
}

} // namespace

void witness::add(const machine& host) {
  load_.push_back({&host, {}, 0});
}

void witness::accuse(std::string rule, std::string text) {
  if (violations_.size() < violations_max)
    violations_.push_back({now_(), std::move(rule), std::move(text)});
}

std::size_t witness::running(const std::string& workload) const {
  const auto found = of_workload_.find(workload);
  return found == of_workload_.end() ? 0 : found->second;
}

void witness::check_copies(const wire::Instance& what, const copy& fresh) {
  for (auto& other : live_[what.name()]) {
    other.outgoing = other.outgoing || leaving_(what.name(), other.epoch);
    const auto& here = load_[fresh.where].host->facts.name();
    const auto& there = load_[other.where].host->facts.name();
    if (other.epoch == fresh.epoch)
      accuse("twice", fmt::format("{} runs twice in epoch {}: on {} and on {}", what.name(), fresh.epoch, there, here));
    // A copy that is moved runs on until its successor does, and a policy may allow a replacement while nobody knows.
    else if (!fresh.replaceable && !other.outgoing)
      accuse("twice", fmt::format("{} of epoch {} began on {} while epoch {} runs on {}", what.name(), fresh.epoch,
                                  here, other.epoch, there));
  }
}

void witness::check_capacity(host_number where) {
  const auto& x = load_[where];
  const auto& has = x.host->facts.capacity();
  const auto check = [&](const char* what, std::uint64_t used, std::uint64_t there) {
    if (used > there)
      accuse("capacity", fmt::format("{} runs {} {} and has {}", x.host->facts.name(), used, what, there));
  };
  check("cpu_milli", x.used.cpu_milli(), has.cpu_milli());
  check("memory_bytes", x.used.memory_bytes(), has.memory_bytes());
  check("gpu_milli", x.used.gpu_milli(), has.gpu_milli());
}

void witness::began(host_number where, const wire::Instance& what) {
  const auto action = what.spec().on_disconnect().action();
  const auto fresh = copy{where, what.epoch(), action == wire::ON_DISCONNECT_REPLACE};
  check_copies(what, fresh);
  live_[what.name()].push_back(fresh);
  add_to(load_[where].used, what.spec().resources(), true);
  check_capacity(where);
  ++load_[where].runs;
  ++of_workload_[what.workload()];
  ++running_;
  ++starts_;
}

void witness::ended(host_number where, const wire::Instance& what) {
  auto& copies = live_[what.name()];
  const auto found =
      std::ranges::find_if(copies, [&](const copy& x) { return x.where == where && x.epoch == what.epoch(); });
  if (found == copies.end())
    return;
  copies.erase(found);
  if (copies.empty())
    live_.erase(what.name());
  add_to(load_[where].used, what.spec().resources(), false);
  --load_[where].runs;
  --of_workload_[what.workload()];
  --running_;
  ++ends_;
}

} // namespace novacron::simulation
