#include "actors/workload/machine_template.hpp"

#include "actors/workload/image_digest.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

/// In the key of every template. To be raised when host and agent agree on something else where it stops.
constexpr auto agreement = 1;
/// Chosen: what a disk has at least, so that a guest that looks at it finds one.
constexpr auto stand_in_bytes = std::uint64_t{1} << 20;
/// Two measurements of the same processor differ by some ten parts in a million.
constexpr auto stamp_parts = 1000;
/// The word by which the guest's agent knows that it is to stop.
constexpr auto stop_word = "nv.template";

/// The rate of time stamps is measured, and differs by a little each time.
bool is_measured(const std::string& word) {
  return word.starts_with("tsc_early_khz=");
}

} // namespace

std::optional<machine_plan> plan_template(const machine_plan& clone) {
  if (clone.kernel.empty())
    return {};
  auto x = clone;
  x.name = "template";
  x.beginning = machine_beginning::template_boot;
  x.shares_memory = false;
  x.kernel_words.emplace_back(stop_word);
  for (auto& each : x.disks)
    each.format = machine_disk::layout::raw;
  if (x.network.how != machine_network::kind::none)
    x.network = {machine_network::kind::unplugged, "52:54:00:00:00:01", {}};
  return x;
}

std::vector<std::pair<std::string, std::uint64_t>> stand_ins(const machine_plan& original) {
  auto files = std::vector<std::pair<std::string, std::uint64_t>>{};
  for (const auto& each : original.disks)
    files.emplace_back(each.file, stand_in_bytes);
  return files;
}

machine_plan plan_clone(machine_plan x) {
  x.beginning = machine_beginning::clone;
  // A whole computer gives memory back while it runs, which would take it from the others.
  x.shares_memory = x.small;
  return x;
}

std::string template_key(const machine_plan& x, const template_ground& ground) {
  auto text =
      fmt::format("{}\n{}\n{}\n{}\n{}\n", agreement, ground.tenant, ground.monitor, ground.processor, ground.guest);
  text += fmt::format("{} {} {} {} {}\n", x.small, x.accelerated, x.cpus, x.memory_bytes, x.console);
  for (const auto& each : x.kernel_words)
    text += is_measured(each) ? "" : each + "\n";
  for (const auto& each : x.disks)
    text += fmt::format("disk {} {}\n", each.serial, each.read_only);
  for (const auto& each : x.ports)
    text += fmt::format("port {}\n", each.name);
  text += fmt::format("network {}\n", x.network.how != machine_network::kind::none);
  return fmt::format("{}-{}m-{}", x.small ? "sandbox" : "vm", x.memory_bytes >> 20,
                     digits_of(digest_of(text)).substr(0, 16));
}

bool is_same_rate(std::uint64_t stamp_khz, std::uint64_t measured) {
  const auto difference = stamp_khz > measured ? stamp_khz - measured : measured - stamp_khz;
  return difference <= stamp_khz / stamp_parts;
}

void template_shelf::found(const std::string& key, std::uint64_t bytes, instant used) {
  kept_[key] = {bytes, used};
}

template_shelf::advice template_shelf::ask(const std::string& key, instant now) {
  if (settings_.bytes_max == 0)
    return advice::boot;
  if (const auto known = kept_.find(key); known != kept_.end()) {
    known->second.used = now;
    return advice::clone;
  }
  if (in_the_making_.contains(key))
    return advice::wait;
  const auto failure = failed_.find(key);
  if (too_large_.contains(key) || (failure != failed_.end() && now - failure->second < settings_.pause))
    return advice::boot;
  in_the_making_.insert(key);
  return advice::make;
}

std::vector<std::string> template_shelf::made(const std::string& key, std::uint64_t bytes, instant now) {
  in_the_making_.erase(key);
  failed_.erase(key);
  if (bytes > settings_.bytes_max) {
    too_large_.insert(key);
    return {key};
  }
  kept_[key] = {bytes, now};
  return surplus();
}

void template_shelf::failed(const std::string& key, instant now) {
  in_the_making_.erase(key);
  failed_[key] = now;
}

void template_shelf::gone(const std::string& key) {
  kept_.erase(key);
}

std::vector<std::string> template_shelf::surplus() {
  auto out = std::vector<std::string>{};
  while (!kept_.empty() && bytes() > settings_.bytes_max) {
    const auto oldest = std::ranges::min_element(kept_, {}, [](const auto& x) { return x.second.used; });
    out.push_back(oldest->first);
    kept_.erase(oldest);
  }
  return out;
}

std::uint64_t template_shelf::bytes() const {
  return std::accumulate(kept_.begin(), kept_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& x) { return sum + x.second.bytes; });
}

} // namespace novacron::workload
