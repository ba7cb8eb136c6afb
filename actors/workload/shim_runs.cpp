#include "actors/workload/shim_runs.hpp"

#include "actors/host/process.hpp"
#include "actors/workload/lease.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>

namespace novacron::workload {

void held_instance::expect(const then<running>& done, const driver::over& over) {
  end = std::make_shared<driver::over>(over);
  started = done;
}

std::function<void()> held_instance::begun(pid_t first) {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  auto now = running{.pid = first, .started_ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count()};
  if (address)
    now.address = to_string(*address);
  return [done = std::exchange(started, nullptr), now] {
    if (done)
      done(now);
  };
}

trouble never_begun(const ended& how) {
  return {how.lease_over ? fault::unreachable : fault::unspecified, how.reason};
}

void limit_silence(shim_order& order, const wire::WorkloadSpec& spec) {
  order.patience_ms = static_cast<std::uint64_t>(patience_of(spec).count());
  order.grace_ms = static_cast<std::uint64_t>(grace_of(spec).count());
}

shim_runs::shim_runs(const instance_places& places, shim_settings settings, over told)
    : places_{places}, settings_{std::move(settings)}, told_{std::move(told)} {
  // A process that closes its input must not end us; children get the default back.
  ::signal(SIGPIPE, SIG_IGN);
}

shim_runs::~shim_runs() {
  // Each gives the other work.
  crew_.end();
  loop_.end();
}

void shim_runs::begin(const std::string& name, const then<running>& done, const std::function<void(shim_order&)>& fill,
                      std::function<void()> there) {
  const auto place = places_.directory(name);
  auto lock_fd = std::optional<int>{};
  try {
    lock_fd = place.lock();
    if (!lock_fd)
      return done(trouble{fault::conflict, name + " still runs"});
    place.forget_run();
    auto order = shim_order{.directory = place.path(),
                            .id = name,
                            .lock = *lock_fd,
                            .log_segment_bytes = settings_.log_segment_bytes,
                            .log_segments = settings_.log_segments};
    for (const auto& each : places_.group_directories(name))
      order.cgroups.push_back(each);
    order.lease = lease_file(settings_.data);
    fill(order);
    const auto child = shim_.start(order);
    ::close(*lock_fd);
    output_.once(place.path(), "container", std::move(there));
    host::when_ended(loop_, child, [=, this](host::ending) { shim_ended(name); });
  } catch (const std::exception& problem) {
    if (lock_fd)
      ::close(*lock_fd);
    done(trouble{fault::unspecified, problem.what()});
  }
}

void shim_runs::take_over(const std::string& name, std::function<void()> there) {
  const auto place = places_.directory(name);
  const auto shim = place.shim();
  const auto opened = shim ? open_process(*shim) : std::nullopt;
  const auto fd = opened.value_or(-1);
  if (fd < 0)
    return shim_ended(name);
  output_.once(place.path(), "container", std::move(there));
  // A pidfd of a process that is not our child can be waited for, though not reaped.
  loop_.watch(fd, EPOLLIN, [=, this](std::uint32_t) {
    const auto shim_name = name;
    const auto held_fd = fd;
    auto* const self = this;
    self->loop_.forget(held_fd);
    ::close(held_fd);
    self->shim_ended(shim_name);
  });
}

void shim_runs::shim_ended(const std::string& name) {
  output_.forget(places_.directory(name).path());
  crew_.give([=, this] { conclude(name); });
}

/// A run is over: its shim has ended. What it left undone (it was killed) is done now.
void shim_runs::conclude(const std::string& name) const {
  const auto place = places_.directory(name);
  auto how = place.how_ended();
  if (!how) {
    how = ended{.code = 137, .reason = "its shim was killed, and it with it"};
    places_.kill_unknown(place);
  }
  told_(name, *how);
}

void shim_runs::stats(const std::string& name, then<usage> done) {
  answer<usage>(std::move(done), [=, this] {
    const auto seen = places_.group(name).usage();
    return usage{seen.cpu_usec, seen.memory_bytes};
  });
}

std::shared_ptr<void> shim_runs::when_output(const std::string& name, std::function<void()> what) {
  return output_.add(places_.directory(name).log(), std::move(what));
}

} // namespace novacron::workload
