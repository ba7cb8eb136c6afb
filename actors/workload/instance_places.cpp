#include "actors/workload/instance_places.hpp"

#include "actors/host/log.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// FNV-1a.
std::uint32_t place_tag(const fs::path& directory) {
  auto sum = 2166136261u;
  for (const unsigned char x : directory.string())
    sum = (sum ^ x) * 16777619u;
  return sum;
}

instance_places::instance_places(fs::path top, std::uint32_t tag, host::cgroup_layout layout)
    : top_{std::move(top)}, tag_{tag}, layout_{std::move(layout)} {}

instance_places::~instance_places() {
  for (const auto& group : layout_.groups(all_groups()))
    ::rmdir(group.c_str());
}

std::string instance_places::all_groups() const {
  return fmt::format("/novacron/{:08x}", tag_);
}

/// Whether a shim holds the instance. One that was just started may not yet have written its name.
bool instance_places::alive(const instance_directory& place) {
  for (const auto deadline = std::chrono::steady_clock::now() + 5s; std::chrono::steady_clock::now() < deadline;) {
    if (const auto fd = place.lock()) {
      ::close(*fd);
      return false;
    }
    const auto shim = place.shim();
    if (const auto fd = shim ? open_process(*shim) : std::nullopt) {
      ::close(*fd);
      return true;
    }
    std::this_thread::sleep_for(1ms);
  }
  throw std::system_error{ETIMEDOUT, std::system_category(), "somebody else holds " + place.path().string()};
}

void instance_places::kill_unknown(const instance_directory& place) const {
  for (const auto& known : {place.container(), place.shim()})
    if (known)
      signal_process(*known, SIGKILL);
  static_cast<void>(group(place.path().filename()).destroy());
}

namespace {

/// What is known of an instance of which only its status can be read.
wire::Instance named_only(const instance_directory& place, const wire::InstanceStatus& status) {
  auto x = wire::Instance{};
  x.set_name(place.path().filename());
  x.set_epoch(status.epoch());
  x.set_generation(status.generation());
  return x;
}

} // namespace

std::vector<leftover> instance_places::sweep(const std::function<void(const leftover&)>& known) const {
  auto found = std::vector<leftover>{};
  auto kept = std::vector<std::string>{};
  for (const auto& entry : fs::directory_iterator{top_}) {
    const auto place = instance_directory{entry.path()};
    auto what = place.instance();
    if (!what && !place.has_instance()) {
      kill_unknown(place);
      place.remove();
      continue;
    }
    auto each = leftover{.status = place.status(), .alive = alive(place)};
    if (!what)
      host::log_error("instances", "cannot read what {} is; it is kept, and goes on if it runs", place.path().string());
    each.instance = what ? *what : named_only(place, each.status);
    if (each.alive) {
      kept.push_back(each.instance.name());
      // A node that was killed between freezing it and writing that down told nobody that it is paused.
      if (each.status.phase() != wire::PHASE_PAUSED)
        group(each.instance.name()).thaw();
    } else {
      each.how = place.how_ended();
      kill_unknown(place);
    }
    known(each);
    found.push_back(std::move(each));
  }
  for (const auto& name : host::cgroup{layout_, all_groups()}.children())
    if (std::ranges::find(kept, name) == kept.end())
      static_cast<void>(group(name).destroy());
  return found;
}

void instance_places::remember(const std::string& name, const wire::InstanceStatus& status) const {
  auto error = std::error_code{};
  if (fs::exists(directory(name).path(), error))
    directory(name).write(status);
}

outcome<> instance_places::remove(const std::string& name, const std::function<void()>& forget) const {
  const auto place = directory(name);
  if (!fs::exists(place.path()))
    return nothing{};
  const auto lock_fd = place.lock();
  if (!lock_fd)
    return trouble{fault::conflict, name + " still runs"};
  const auto gone = group(name).destroy();
  place.remove();
  ::close(*lock_fd);
  forget();
  if (!gone)
    return trouble{fault::unspecified, "processes of " + name + " would not end"};
  return nothing{};
}

} // namespace novacron::workload
