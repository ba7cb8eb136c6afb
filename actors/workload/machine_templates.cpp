#include "actors/workload/machine_templates.hpp"

#include "actors/host/files.hpp"
#include "actors/host/log.hpp"
#include "actors/workload/machine_images.hpp"
#include "actors/workload/template_making.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

/// What a kernel that has come up has touched. Measured: 60 MiB of 128, and it describes each page in 64 bytes.
std::uint64_t expected_bytes(std::uint64_t memory) {
  constexpr auto base = std::uint64_t{96} << 20;
  constexpr auto part = 32;
  return std::min(memory, base + memory / part);
}

/// Chosen: what must be left on the disk beside a template.
constexpr auto room_bytes = std::uint64_t{64} << 20;

bool has_room(const fs::path& directory, std::uint64_t bytes) {
  struct statvfs facts = {};
  return ::statvfs(directory.c_str(), &facts) == 0 && facts.f_bavail * facts.f_frsize >= bytes + room_bytes;
}

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

} // namespace

machine_templates::machine_templates(template_settings settings)
    : settings_{std::move(settings)}, shelf_{settings_.shelf} {
  fs::create_directories(settings_.directory);
  sweep();
}

machine_templates::~machine_templates() {
  end();
}

void machine_templates::end() {
  {
    const auto lock = std::lock_guard{guard_};
    if (ending_.exchange(true))
      return;
    waiting_.clear();
  }
  maker_.end();
}

void machine_templates::sweep() {
  const auto now = clock::now();
  const auto file_now = fs::file_time_type::clock::now();
  auto broken = std::vector<fs::path>{};
  for (const auto& each : fs::directory_iterator{settings_.directory}) {
    const auto facts = each.path().extension() == ".part" ? std::nullopt : read_facts(each.path());
    if (!facts || facts->key != each.path().filename())
      broken.push_back(each.path());
    else
      shelf_.found(facts->key, facts->bytes, now - (file_now - fs::last_write_time(each.path())));
  }
  for (const auto& key : shelf_.surplus())
    broken.push_back(settings_.directory / key);
  auto error = std::error_code{};
  for (const auto& each : broken)
    fs::remove_all(each, error);
}

const std::string& machine_templates::processor() {
  std::call_once(asked_, [this] { processor_ = describe_processor(); });
  return processor_;
}

void machine_templates::want(const machine_plan& plan, const std::string& tenant, const template_host& host,
                             then<found> done) {
  const auto original = plan_template(plan);
  const auto edition = original ? settings_.monitor->edition() : "";
  if (edition.empty())
    return done(trouble{fault::unsupported, original ? "this monitor can clone no machines"
                                                     : "a disk with a boot loader of its own cannot be cloned"});
  const auto key = template_key(*original, {tenant, edition, processor(), host.guest});
  // A second time if the first one was damaged.
  for (auto attempt = 0; attempt < 2; ++attempt) {
    auto advice = template_shelf::advice::boot;
    {
      const auto lock = std::lock_guard{guard_};
      if (ending_)
        return;
      advice = shelf_.ask(key, clock::now());
      if (advice == template_shelf::advice::make || advice == template_shelf::advice::wait)
        waiting_[key].who.push_back(std::move(done));
    }
    if (advice == template_shelf::advice::boot)
      return done(
          trouble{fault::unsupported, "there is no room for a template, or one could not be made a moment ago"});
    if (advice == template_shelf::advice::make)
      return begin_making(*original, {.key = key,
                                      .tenant = tenant,
                                      .small = plan.small,
                                      .network = original->network.how != machine_network::kind::none,
                                      .cpus = plan.cpus,
                                      .memory_bytes = plan.memory_bytes,
                                      .made_ms = wall_ms(),
                                      .stamp_khz = host.stamp_khz});
    if (advice == template_shelf::advice::wait)
      return;
    if (auto ready = load(key, host); ready || attempt == 1)
      return done(std::move(ready));
  }
}

outcome<machine_templates::found> machine_templates::load(const std::string& key, const template_host& host) {
  const auto one_by_one = std::lock_guard{loading_};
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto known = loaded_.find(key); known != loaded_.end())
      return known->second;
  }
  const auto place = settings_.directory / key;
  try {
    auto ready = load_template(place);
    if (ready->facts.key != key)
      throw std::runtime_error{"it is another one"};
    if (!is_same_rate(ready->facts.stamp_khz, host.stamp_khz))
      throw std::runtime_error{"the processor counts at another rate now"};
    // What was used last goes last, also after a restart.
    auto error = std::error_code{};
    fs::last_write_time(place, fs::file_time_type::clock::now(), error);
    const auto lock = std::lock_guard{guard_};
    // It may have been removed meanwhile; who asked for it before has it all the same.
    if (shelf_.has(key))
      loaded_[key] = ready;
    return found{std::move(ready)};
  } catch (const std::exception& problem) {
    host::log_warn("templates", "template {} is thrown away: {}", key, problem.what());
    discard(key);
    return trouble{fault::storage, problem.what()};
  }
}

void machine_templates::begin_making(const machine_plan& original, const template_facts& facts) {
  maker_.give([this, original, facts] {
    auto made = make(original, facts);
    if (!made && !ending_)
      host::log_warn("templates", "no template for {} with {} MiB: {}; such machines boot",
                     facts.small ? "sandboxes" : "virtual machines", facts.memory_bytes >> 20, made.why().text);
    answer(facts.key, made);
  });
}

outcome<machine_templates::found> machine_templates::make(const machine_plan& original, const template_facts& facts) {
  const auto part = settings_.directory / (facts.key + ".part");
  auto error = std::error_code{};
  try {
    fs::remove_all(part);
    if (!has_room(settings_.directory, expected_bytes(facts.memory_bytes)))
      throw std::runtime_error{"there is no room for it on the disk"};
    fs::create_directories(part);
    const auto bytes = make_template({*settings_.monitor, original, facts, part, settings_.patience, ending_});
    fs::rename(part, settings_.directory / facts.key);
    auto out = std::vector<std::string>{};
    {
      const auto lock = std::lock_guard{guard_};
      out = shelf_.made(facts.key, bytes, clock::now());
    }
    for (const auto& key : out)
      discard(key);
    if (std::ranges::find(out, facts.key) != out.end())
      return trouble{fault::conflict, fmt::format("it takes {} MiB, more than all of them may", bytes >> 20)};
    return load(facts.key, {.guest = {}, .stamp_khz = facts.stamp_khz});
  } catch (const std::exception& problem) {
    fs::remove_all(part, error);
    const auto lock = std::lock_guard{guard_};
    shelf_.failed(facts.key, clock::now());
    return trouble{fault::unspecified, problem.what()};
  }
}

void machine_templates::answer(const std::string& key, const outcome<found>& x) {
  auto who = std::vector<then<found>>{};
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto known = waiting_.extract(key))
      who = std::move(known.mapped().who);
  }
  for (const auto& each : who)
    each(x);
}

void machine_templates::discard(const std::string& key) {
  {
    const auto lock = std::lock_guard{guard_};
    shelf_.gone(key);
    loaded_.erase(key);
  }
  auto error = std::error_code{};
  // Under a name that no start takes for a whole one, and nobody else uses.
  const auto part = settings_.directory / fmt::format("{}.{}.part", key, ++discarded_);
  fs::rename(settings_.directory / key, part, error);
  fs::remove_all(part, error);
}

void machine_templates::spoiled(const ready_template& which) {
  host::log_warn("templates", "template {} is thrown away: no clone of it came up", which.facts.key);
  discard(which.facts.key);
  const auto lock = std::lock_guard{guard_};
  shelf_.failed(which.facts.key, clock::now());
}

std::vector<template_facts> machine_templates::list() const {
  auto all = std::vector<template_facts>{};
  for (const auto& each : fs::directory_iterator{settings_.directory})
    if (auto facts = each.path().extension() == ".part" ? std::nullopt : read_facts(each.path()))
      all.push_back(std::move(*facts));
  std::ranges::sort(all, {}, &template_facts::key);
  return all;
}

outcome<> machine_templates::remove(const std::string& key) {
  {
    const auto lock = std::lock_guard{guard_};
    if (!shelf_.has(key))
      return trouble{fault::not_found, "there is no template " + key};
  }
  discard(key);
  return nothing{};
}

std::shared_ptr<machine_templates>
make_machine_templates(const fs::path& data, std::shared_ptr<const machine_monitor> monitor, std::uint64_t bytes_max) {
  auto settings = template_settings{};
  settings.directory = data / "machine-templates";
  settings.monitor = std::move(monitor);
  settings.shelf.bytes_max = bytes_max;
  return std::make_shared<machine_templates>(std::move(settings));
}

} // namespace novacron::workload
