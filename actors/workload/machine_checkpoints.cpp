#include "actors/workload/machine_checkpoints.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/log_files.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/machine_writing.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <future>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

/// Of a machine's state besides its memory. Measured: 190 KB of a small machine, 520 KB of a whole one.
constexpr auto devices_bytes_max = std::uint64_t{16} << 20;
/// For a machine to be told that it goes on.
constexpr auto answer_patience = std::chrono::seconds{10};

std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void append(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      throw std::system_error{errno, std::system_category(), "cannot write a checkpoint"};
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::int64_t end_of_log(const fs::path& log) {
  return read_log(log, -1, 1).next();
}

/// Has the machine stand still, or go on. Throws std::runtime_error.
void tell(machine_control& who, bool still) {
  const auto answer = std::make_shared<std::promise<outcome<>>>();
  auto given = answer->get_future();
  who.pause(still, [answer](outcome<> x) { answer->set_value(std::move(x)); });
  if (given.wait_for(answer_patience) != std::future_status::ready)
    throw std::runtime_error{"its machine does not answer"};
  if (const auto done = given.get(); !done)
    throw std::runtime_error{
        fmt::format("its machine could not {}: {}", still ? "be stopped" : "be let go on", done.why().text)};
}

/// The most that it may become: each page once, and what says which it is.
std::uint64_t bytes_for(const checkpoint_subject& of) {
  return of.memory_bytes + devices_bytes_max + allocated_bytes(of.place / machine_root_file);
}

} // namespace

machine_checkpoints::machine_checkpoints(checkpoint_settings settings) : settings_{std::move(settings)} {
  fs::create_directories(settings_.directory);
  fs::permissions(settings_.directory, fs::perms::owner_all);
  sweep();
}

/// What was being made or deleted when the node was killed.
void machine_checkpoints::sweep() const {
  auto broken = std::vector<fs::path>{};
  for (const auto& each : fs::directory_iterator{settings_.directory})
    if (each.path().extension() == ".part")
      broken.push_back(each.path());
  auto error = std::error_code{};
  for (const auto& each : broken)
    fs::remove_all(each, error);
}

std::vector<checkpoint_facts> machine_checkpoints::all() const {
  auto found = std::vector<checkpoint_facts>{};
  for (const auto& each : fs::directory_iterator{settings_.directory}) {
    if (each.path().extension() == ".part")
      continue;
    auto facts = read_checkpoint(each.path());
    // It is there all the same, so that it can be seen and deleted.
    if (!facts || facts->shown.name() != each.path().filename()) {
      facts.emplace();
      facts->shown.set_name(each.path().filename());
      facts->shown.set_unusable("what it is cannot be read: it is damaged");
    }
    facts->shown.set_node(settings_.node);
    found.push_back(std::move(*facts));
  }
  std::ranges::sort(found, {}, [](const checkpoint_facts& x) { return x.shown.name(); });
  return found;
}

checkpoint_room machine_checkpoints::room() const {
  auto x = checkpoint_room{.bytes_max = settings_.bytes_max, .bytes = begun_bytes_};
  for (const auto& each : all())
    x.bytes += each.shown.size_bytes();
  struct statvfs facts = {};
  if (::statvfs(settings_.directory.c_str(), &facts) == 0)
    x.free = facts.f_bavail * facts.f_frsize;
  return x;
}

outcome<std::string> machine_checkpoints::begin(const checkpoint_subject& of) {
  const auto lock = std::lock_guard{guard_};
  auto taken = begun_;
  for (const auto& each : all())
    taken.insert(each.shown.name());
  const auto name = of.name.empty() ? next_checkpoint_name(of.what.workload(), taken) : of.name;
  if (!is_checkpoint_name(name))
    return trouble{fault::bad_request,
                   fmt::format("\"{}\" is no name for a checkpoint: at most 64 letters, digits, dots, "
                               "hyphens and underscores, not first a dot",
                               name)};
  if (taken.contains(name))
    return trouble{fault::conflict, fmt::format("there is a checkpoint {} on this node already; take another name, or "
                                                "`checkpoint delete` that one",
                                                name)};
  if (auto lack = refuse_room(room(), bytes_for(of)); !lack.empty())
    return trouble{fault::storage, std::move(lack)};
  begun_.insert(name);
  begun_bytes_ += bytes_for(of);
  return name;
}

outcome<wire::Checkpoint> machine_checkpoints::make(const checkpoint_subject& of) {
  const auto expected = bytes_for(of);
  const auto begun = begin(of);
  if (!begun)
    return begun.why();
  const auto part = settings_.directory / (*begun + ".part");
  auto made = outcome<wire::Checkpoint>{trouble{}};
  try {
    fs::remove_all(part);
    fs::create_directories(part);
    made = write(of, *begun, part);
  } catch (const std::system_error& problem) {
    made = trouble{fault::storage, problem.what()};
  } catch (const std::exception& problem) {
    made = trouble{fault::unspecified, problem.what()};
  }
  auto error = std::error_code{};
  if (!made)
    fs::remove_all(part, error);
  const auto lock = std::lock_guard{guard_};
  begun_.erase(*begun);
  begun_bytes_ -= std::min(begun_bytes_, expected);
  return made;
}

wire::Checkpoint machine_checkpoints::write(const checkpoint_subject& of, const std::string& name,
                                            const fs::path& part) {
  auto facts = checkpoint_facts{.ground = of.host.ground, .shape = of.shape, .stamp_khz = of.host.stamp_khz};
  facts.ground.tenant = of.what.spec().tenant();
  auto& shown = facts.shown;
  shown.set_name(name);
  shown.set_node(settings_.node);
  shown.set_instance(of.what.name());
  *shown.mutable_spec() = of.what.spec();
  fs::create_hard_link(of.place / machine_base_file, part / machine_base_file);
  {
    const auto state = descriptor{::open((part / checkpoint_state_file).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    if (state.get() < 0)
      throw std::system_error{errno, std::system_category(), "cannot make a checkpoint"};
    const auto check = [&] {
      if (ending_)
        throw std::runtime_error{"the node ends"};
    };
    tell(*of.control, true);
    const auto since = clock::now();
    write_machine(*of.control, {.directory = of.place,
                                .with_memory = true,
                                .bytes_max = of.memory_bytes + devices_bytes_max,
                                .patience = settings_.patience,
                                .take = [&](std::string_view bytes) { append(state.get(), bytes); },
                                .check = check});
    try {
      copy_disk(of.place / machine_root_file, part / machine_root_file);
      shown.set_log_offset(end_of_log(of.log));
      shown.set_made_ms(wall_ms());
    } catch (...) {
      of.control->pause(false, [](outcome<>) {});
      throw;
    }
    if (!of.pause)
      tell(*of.control, false);
    const auto still = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - since);
    shown.set_frozen_ms(static_cast<std::uint64_t>(still.count()));
  }
  write_checkpoint(part, facts);
  fs::rename(part, settings_.directory / name);
  host::settle_file(settings_.directory / name);
  return shown;
}

outcome<> machine_checkpoints::plant(const std::string& name, const wire::Instance& what, const std::string& shape,
                                     const checkpoint_host& host, const fs::path& place) {
  // It must not be deleted meanwhile: half of one is worse than none.
  const auto lock = std::lock_guard{guard_};
  const auto directory = settings_.directory / name;
  const auto facts = is_checkpoint_name(name) ? read_checkpoint(directory) : std::nullopt;
  if (!facts)
    return trouble{fault::bad_request,
                   fmt::format("there is no checkpoint {} on node {} (`checkpoint list`)", name, settings_.node)};
  if (auto refusal = refuse_restore(*facts, what, shape); !refusal.empty())
    return trouble{fault::bad_request, std::move(refusal)};
  if (const auto lack = unusable(*facts, host); !lack.empty())
    return trouble{fault::unsupported, fmt::format("nothing can be restored from checkpoint {}: {}", name, lack)};
  if (const auto damage = find_damage(directory, *facts); !damage.empty())
    return trouble{fault::bad_request, fmt::format("checkpoint {} is damaged: {}", name, damage)};
  plant_checkpoint(directory, *facts, place);
  return nothing{};
}

std::vector<wire::Checkpoint> machine_checkpoints::list(const checkpoint_host& host) const {
  auto shown = std::vector<wire::Checkpoint>{};
  for (auto& each : all()) {
    if (each.shown.unusable().empty())
      each.shown.set_unusable(unusable(each, host));
    shown.push_back(std::move(each.shown));
  }
  return shown;
}

outcome<> machine_checkpoints::remove(const std::string& name) {
  const auto lock = std::lock_guard{guard_};
  const auto directory = settings_.directory / name;
  auto error = std::error_code{};
  if (!is_checkpoint_name(name) || !fs::is_directory(directory, error))
    return trouble{fault::not_found, fmt::format("there is no checkpoint {} on node {}", name, settings_.node)};
  // Under a name that nobody takes for a whole one, and nobody else uses.
  const auto part = settings_.directory / fmt::format("{}.{}.part", name, ++discarded_);
  fs::rename(directory, part, error);
  if (error)
    return trouble{fault::storage, "cannot delete checkpoint " + name + ": " + error.message()};
  fs::remove_all(part, error);
  return nothing{};
}

std::shared_ptr<machine_checkpoints> make_machine_checkpoints(const fs::path& data, const std::string& node,
                                                              std::uint64_t bytes_max) {
  auto settings = checkpoint_settings{};
  settings.directory = data / "checkpoints";
  settings.node = node;
  settings.bytes_max = bytes_max;
  return std::make_shared<machine_checkpoints>(std::move(settings));
}

} // namespace novacron::workload
