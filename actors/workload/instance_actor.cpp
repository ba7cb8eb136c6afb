#include "actors/workload/instance_actor.hpp"

#include "actors/host/log.hpp"
#include "actors/workload/health.hpp"
#include "actors/workload/instance_call_actor.hpp"
#include "actors/workload/instance_checkpoint_actor.hpp"
#include "actors/workload/instance_exec_actor.hpp"
#include "actors/workload/instance_format_actor.hpp"
#include "actors/workload/instance_move_actor.hpp"
#include "actors/workload/instance_state_actor.hpp"
#include "actors/workload/log_files.hpp"
#include "actors/workload/restart_policy.hpp"

#include <signal.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

using namespace std::chrono_literals;

bool terminal(wire::Phase x) {
  return x == wire::PHASE_COMPLETED || x == wire::PHASE_FAILED || x == wire::PHASE_STOPPED;
}

/// Between attempts to write down how an instance is. Chosen: a disk is full for minutes, and a write costs little.
constexpr auto write_again = 5s;

void write_down_later(instance_self self);
void settle(instance_self self);
void serve_readers(instance_self self);

} // namespace

void tell(instance_self self, bool urgent, bool gone) {
  self->state.order.tell({self->state.status, gone, urgent});
}

/// On a disk that is full the instance goes on, and is written down as it is by then once there is room.
void write_down(instance_self self) {
  auto& s = self->state;
  try {
    s.order.driver->remember(s.what.name(), s.status);
    s.unwritten = false;
  } catch (const std::exception& problem) {
    if (std::exchange(s.unwritten, true))
      return;
    host::log_warn("instances", "cannot write down how {} is, and goes on trying: {}", s.what.name(), problem.what());
    write_down_later(self);
  }
}

namespace {

void write_down_later(instance_self self) {
  later(self, write_again, [self] {
    if (!self->state.unwritten)
      return;
    write_down(self);
    if (self->state.unwritten)
      write_down_later(self);
  });
}

} // namespace

void enter(instance_self self, wire::Phase phase, const std::string& reason) {
  auto& s = self->state;
  s.status.set_phase(phase);
  s.status.set_reason(reason);
  write_down(self);
  tell(self, true);
  serve_readers(self);
}

namespace {

restart_policy::config restart_rules(const wire::WorkloadSpec& spec) {
  auto rules = restart_policy::config{};
  const auto& wanted = spec.restart();
  // A batch instance runs once per placement; whether it is tried again, and where, the scheduler decides.
  if (spec.kind() == wire::WORKLOAD_KIND_BATCH || wanted.when() == wire::RESTART_WHEN_NEVER)
    rules.restart = restart_policy::when::never;
  else if (wanted.when() == wire::RESTART_WHEN_ON_FAILURE)
    rules.restart = restart_policy::when::on_failure;
  rules.limit = wanted.limit();
  if (wanted.delay_ms() > 0)
    rules.delay = std::chrono::milliseconds{wanted.delay_ms()};
  if (wanted.delay_max_ms() > 0)
    rules.delay_max = std::chrono::milliseconds{wanted.delay_max_ms()};
  return rules;
}

health::config health_rules(const wire::HealthCheck& wanted) {
  auto rules = health::config{};
  if (wanted.interval_ms() > 0)
    rules.interval = std::chrono::milliseconds{wanted.interval_ms()};
  if (wanted.timeout_ms() > 0)
    rules.timeout = std::chrono::milliseconds{wanted.timeout_ms()};
  if (wanted.failures() > 0)
    rules.failures = wanted.failures();
  rules.grace = std::chrono::milliseconds{wanted.grace_ms()};
  return rules;
}

bool has_check(const wire::WorkloadSpec& spec) {
  return spec.has_health() && (!spec.health().command().empty() || spec.health().port() > 0);
}

// The end of a run -----------------------------------------------------------------------------------------------

void remove(instance_self self) {
  auto& s = self->state;
  s.output.reset();
  end_sessions(self);
  s.order.driver->destroy(s.what.name(), [self, go = turn_of(self)](outcome<> done) {
    go([self, done] {
      if (!done && done.why().kind == fault::conflict)
        return later(self, 50ms, [self] { remove(self); });
      auto& s = self->state;
      s.order.workers->give([release = s.order.images.release, name = s.what.name()] { release(name); });
      s.status.set_phase(wire::PHASE_STOPPED);
      s.status.set_reason(done ? "removed" : "removed, but " + done.why().text);
      serve_readers(self);
      tell(self, true, true);
      self->quit();
    });
  });
}

} // namespace

void run_over(instance_self self, const ended& how) {
  auto& s = self->state;
  s.busy = false;
  end_lanes(self, "the instance has ended: " + how.reason);
  if (ended_on_the_way(self, how))
    return;
  s.check.reset();
  s.status.set_health("");
  s.status.mutable_used()->Clear();
  s.status.set_exit_code(how.code);
  if (how.cpu_usec > 0)
    s.status.set_cpu_usec(how.cpu_usec);
  const auto unhealthy = std::exchange(s.unhealthy, {});
  if (how.lease_over && s.aim == instance_state::goal::run)
    s.aim = instance_state::goal::park;
  if (s.aim != instance_state::goal::run)
    return settle(self);
  is_not_restored(self, how.reason);
  const auto failed = !unhealthy.empty();
  const auto reason = failed ? unhealthy : how.reason;
  const auto delay = s.policy->ended(failed ? 1 : how.code, self->clock().now() - s.run_started);
  if (!delay)
    return enter(self, how.code == 0 ? wire::PHASE_COMPLETED : wire::PHASE_FAILED, reason);
  s.status.set_restarts(s.policy->restarts());
  const auto wait = std::chrono::duration<double>{*delay}.count();
  enter(self, wire::PHASE_STARTING, fmt::format("starts again in {:.1f} s: {}", wait, reason));
  later(self, *delay, [self, run = s.run] {
    if (self->state.run == run && !self->state.busy && self->state.aim == instance_state::goal::run)
      start(self);
  });
}

namespace {

/// Does what the goal says once nothing runs.
void settle(instance_self self) {
  auto& s = self->state;
  if (s.busy)
    return;
  switch (s.aim) {
    case instance_state::goal::run: return;
    case instance_state::goal::restart:
      s.aim = instance_state::goal::run;
      s.status.set_restarts(s.status.restarts() + 1);
      return start(self);
    case instance_state::goal::park: return enter(self, wire::PHASE_STOPPED, "stopped: no controller is in reach");
    case instance_state::goal::remove: return remove(self);
  }
}

} // namespace

void end_run(instance_self self, const std::string& reason) {
  auto& s = self->state;
  // While it changes its format nobody knows which of the two to end.
  if (s.next_run != 0)
    return;
  if (!s.busy)
    return settle(self);
  stop_moving(self);
  enter(self, wire::PHASE_STOPPING, reason);
  const auto ignore = [](outcome<>) {};
  after_calls(self, [self, ignore] { self->state.order.driver->signal(self->state.what.name(), SIGTERM, ignore); });
  later(self, grace_of(s.what.spec()), [self, run = s.run, ignore] {
    if (self->state.run == run && self->state.busy)
      self->state.order.driver->signal(self->state.what.name(), SIGKILL, ignore);
  });
}

namespace {

// A run ----------------------------------------------------------------------------------------------------------

void schedule_probe(instance_self self) {
  auto& s = self->state;
  later(self, s.check->rules().interval, [self, run = s.run] {
    auto& s = self->state;
    if (s.run != run || !s.check || s.status.phase() == wire::PHASE_STOPPING)
      return;
    if (s.status.phase() == wire::PHASE_PAUSED || s.next_run != 0 || s.moves)
      return schedule_probe(self);
    s.order.driver->probe(s.what.name(), s.what.spec().health(), [self, run, go = turn_of(self)](outcome<> well) {
      go([self, run, well] {
        auto& s = self->state;
        if (s.run != run || !s.check)
          return;
        const auto before = s.check->now();
        const auto over = s.check->hear(static_cast<bool>(well), self->clock().now());
        s.status.set_health(to_string(s.check->now()));
        if (before != s.check->now())
          tell(self, true);
        if (!over)
          return schedule_probe(self);
        s.unhealthy = "was unhealthy: " + well.why().text;
        end_run(self, s.unhealthy);
      });
    });
  });
}

} // namespace

void begin_checks(instance_self self) {
  auto& s = self->state;
  if (!has_check(s.what.spec()))
    return;
  s.check.emplace(health_rules(s.what.spec().health()), self->clock().now());
  s.status.set_health("unknown");
  schedule_probe(self);
}

void took_off(instance_self self, const running& now) {
  auto& s = self->state;
  s.run_started = self->clock().now();
  // What was taken over keeps the phase and the start it had.
  const auto frozen = s.status.phase() == wire::PHASE_PAUSED;
  if (s.status.phase() == wire::PHASE_STARTING)
    s.status.set_started_ms(now.started_ms);
  s.status.set_address(now.address);
  s.status.set_exit_code(0);
  if (s.aim == instance_state::goal::run && s.what.move().arrives())
    return await_guest(self, s.order.former.alive);
  s.status.set_immovable(s.order.driver->why_immovable(s.what.name()));
  begin_checks(self);
  open_first_lane(self);
  if (s.aim == instance_state::goal::run && s.order.former.alive && s.order.driver->departs(s.what.name()))
    return find_out(self);
  if (s.aim != instance_state::goal::run)
    return end_run(self, "stops");
  enter(self, frozen ? wire::PHASE_PAUSED : wire::PHASE_RUNNING, frozen ? "paused" : "running");
  is_restored(self);
  set_out(self);
}

namespace {

/// The continuation of a start or an adoption, and of the end that follows it.
std::pair<then<running>, driver::over> hear(instance_self self) {
  auto& s = self->state;
  const auto run = s.run = ++s.run_count;
  s.busy = true;
  return {[self, run, go = turn_of(self)](outcome<running> begun) {
            go([self, run, begun] {
              if (self->state.run != run)
                return;
              if (begun)
                return took_off(self, *begun);
              self->state.run_started = self->clock().now();
              const auto lease_over = begun.why().kind == fault::unreachable;
              run_over(self, {.code = 125, .reason = begun.why().text, .lease_over = lease_over});
            });
          },
          [self, run, go = turn_of(self)](ended how) {
            go([self, run, how] {
              auto& s = self->state;
              if (s.run == run && s.next_run != 0)
                s.ended_meanwhile = how;
              else if (s.run == run)
                run_over(self, how);
            });
          }};
}

/// What no further attempt can mend.
bool hopeless(fault x) { return x == fault::bad_request || x == fault::unsupported || x == fault::denied; }

void not_prepared(instance_self self, const trouble& why) {
  auto& s = self->state;
  s.run_started = self->clock().now();
  s.status.set_exit_code(125);
  if (!hopeless(why.kind) || s.aim != instance_state::goal::run)
    return run_over(self, {.code = 125, .reason = why.text});
  s.busy = false;
  is_not_restored(self, why.text);
  enter(self, wire::PHASE_FAILED, why.text);
}

} // namespace

/// From the image to the running process on worker threads, without coming back here in between: each way back and
/// forth costs a start two thread switches.
void start(instance_self self) {
  auto& s = self->state;
  auto [done, end] = hear(self);
  s.status.clear_started_ms();
  s.status.clear_exit_code();
  enter(self, wire::PHASE_STARTING, s.status.restarts() > 0 ? "starts again" : "starts");
  s.order.workers->give([self, run = s.run, done, end, images = s.order.images, fetchers = s.order.fetchers,
                         driver = s.order.driver, what = s.what, go = turn_of(self)] {
    const auto refused = [=](const trouble& why) {
      go([=] {
        if (self->state.run == run)
          not_prepared(self, why);
      });
    };
    const auto go_on = [=](const outcome<image_root>& found) {
      if (!found)
        return refused(found.why());
      // Its threads must not be what holds it last: they would have to wait for their own end.
      driver->prepare(what, *found, [=, here = driver.get()](outcome<> ready) {
        if (!ready)
          return refused(ready.why());
        if (what.move().arrives())
          here->receive(what.name(), done, end);
        else
          here->start(what.name(), done, end);
        go([=] {
          self->state.prepared = true;
          write_down(self);
          serve_readers(self);
        });
      });
    };
    const auto& image = what.spec().program().image();
    const auto found = images.acquire(image, what.name());
    if (found || found.why().kind != fault::not_found || !images.fetch)
      return go_on(found);
    fetchers->give([=, fetch = images.fetch] { go_on(fetch(image, what.name())); });
  });
}

namespace {

/// Whether its last run is over and counted: a start that is under way knows neither when the run began nor how it
/// ended.
bool awaits_start(const wire::InstanceStatus& x) {
  return x.phase() == wire::PHASE_STARTING && (x.started_ms() != 0 || x.exit_code() != 0);
}

void begin(instance_self self) {
  auto& s = self->state;
  s.prepared = s.order.known;
  if (s.order.former.alive) {
    s.status.set_reason("taken over");
    auto [done, end] = hear(self);
    s.order.driver->adopt(s.what.name(), std::move(done), std::move(end));
  } else if (s.order.known && terminal(s.status.phase())) {
    // A stopped one was parked: an instance that is no longer wanted leaves nothing behind.
    if (s.status.phase() == wire::PHASE_STOPPED)
      s.aim = instance_state::goal::park;
    tell(self, true);
  } else if (s.order.known && s.order.former.how && !awaits_start(s.status)) {
    run_over(self, *s.order.former.how);
  } else {
    start(self);
  }
}

void take_figures(instance_self self) {
  auto& s = self->state;
  drop_idle_sessions(self);
  later(self, s.order.figures_interval, [self] { take_figures(self); });
  if (s.status.phase() != wire::PHASE_RUNNING && s.status.phase() != wire::PHASE_PAUSED)
    return;
  s.order.driver->stats(s.what.name(), [self, run = s.run, go = turn_of(self)](outcome<usage> seen) {
    go([self, run, seen] {
      auto& s = self->state;
      if (s.run != run || !s.busy || !seen)
        return;
      const auto now = self->clock().now();
      const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(now - s.figures_at).count();
      const auto spent = seen->cpu_usec - std::min(s.status.cpu_usec(), seen->cpu_usec);
      if (s.figures_at != instant{} && passed > 0)
        s.status.mutable_used()->set_cpu_milli(spent * 1000 / static_cast<std::uint64_t>(passed));
      s.figures_at = now;
      s.status.set_cpu_usec(seen->cpu_usec);
      s.status.mutable_used()->set_memory_bytes(seen->memory_bytes);
      tell(self, false);
    });
  });
}

// Output ---------------------------------------------------------------------------------------------------------

/// What a reader asked for, if there is something to say.
std::optional<wire::LogChunk> chunk_for(const instance_state& s, const wire::LogRequest& x) {
  const auto limit = std::clamp<std::size_t>(x.limit() > 0 ? x.limit() : 64 << 10, 1, 512 << 10);
  const auto over = terminal(s.status.phase()) && !s.busy;
  auto part = read_log(s.order.driver->logs(s.what.name()), x.offset(), limit);
  if (part.data.empty() && !over)
    return {};
  auto chunk = wire::LogChunk{};
  chunk.set_ended(over && part.data.empty());
  chunk.set_next_offset(part.next());
  chunk.set_data(std::move(part.data));
  return chunk;
}

void watch_output(instance_self self) {
  auto& s = self->state;
  if (s.output || !s.prepared || s.readers.empty())
    return;
  const auto go = turn_of(self);
  s.output = s.order.driver->when_output(s.what.name(), [self, go, told = s.output_told] {
    // A flood of output is one message, not thousands.
    if (!told->exchange(true))
      go([self, told] {
        told->store(false);
        serve_readers(self);
      });
  });
}

void serve_readers(instance_self self) {
  auto& s = self->state;
  watch_output(self);
  for (auto at = s.readers.begin(); at != s.readers.end();) {
    auto chunk = chunk_for(s, at->request);
    if (chunk)
      at->promise.deliver(*chunk);
    at = chunk ? s.readers.erase(at) : std::next(at);
  }
  if (s.readers.empty())
    s.output.reset();
}

wire::LogChunk nothing_yet(const instance_state& s, const wire::LogRequest& x) {
  auto chunk = wire::LogChunk{};
  chunk.set_next_offset(read_log(s.order.driver->logs(s.what.name()), x.offset(), 0).offset);
  return chunk;
}

caf::result<wire::LogChunk> read(instance_self self, const wire::LogRequest& x) {
  auto& s = self->state;
  if (auto chunk = chunk_for(s, x))
    return *chunk;
  if (x.wait_ms() == 0)
    return nothing_yet(s, x);
  auto reader = log_reader{self->make_response_promise<wire::LogChunk>(), x, ++s.reader_count};
  // "From the end" is meant as of now.
  if (x.offset() < 0)
    reader.request.set_offset(nothing_yet(s, x).next_offset());
  s.readers.push_back(reader);
  // The watch comes before the second look, so that nothing falls between.
  serve_readers(self);
  later(self, std::chrono::milliseconds{std::min<std::uint64_t>(x.wait_ms(), 60'000)}, [self, number = reader.number] {
    auto& s = self->state;
    for (auto& each : s.readers)
      if (each.number == number)
        each.promise.deliver(nothing_yet(s, each.request));
    std::erase_if(s.readers, [&](const log_reader& each) { return each.number == number; });
    serve_readers(self);
  });
  return reader.promise;
}

// Orders ---------------------------------------------------------------------------------------------------------

/// What is not written down would not outlive this node's process.
void take_back_pause(instance_self self, bool paused, caf::typed_response_promise<wire::Done> promise) {
  const auto& name = self->state.what.name();
  self->state.order.driver->pause(name, !paused, [=, run = self->state.run, go = turn_of(self)](outcome<> done) {
    go([=]() mutable {
      const auto now = paused ? wire::PHASE_PAUSED : wire::PHASE_RUNNING;
      if (done && self->state.run == run && self->state.status.phase() == now)
        enter(self, paused ? wire::PHASE_RUNNING : wire::PHASE_PAUSED, paused ? "running" : "paused");
      promise.deliver(caf::make_error(fault::storage, "cannot write down that " + self->state.what.name() + " is " +
                                                          (paused ? "paused" : "running") +
                                                          ": the disk is full or fails"));
    });
  });
}

caf::result<wire::Done> pause(instance_self self, bool paused) {
  auto& s = self->state;
  const auto from = paused ? wire::PHASE_RUNNING : wire::PHASE_PAUSED;
  const auto to = paused ? wire::PHASE_PAUSED : wire::PHASE_RUNNING;
  if (s.status.phase() == to)
    return wire::Done{};
  if (auto busy = on_the_move(self); !busy.empty())
    return caf::make_error(fault::conflict, std::move(busy));
  if (s.status.phase() != from)
    return caf::make_error(fault::conflict, s.what.name() + " is not " + (paused ? "running" : "paused"));
  auto promise = self->make_response_promise<wire::Done>();
  s.order.driver->pause(s.what.name(), paused, [=, run = s.run, go = turn_of(self)](outcome<> done) {
    go([=]() mutable {
      if (!done) {
        promise.deliver(caf::make_error(done.why().kind, done.why().text));
        return;
      }
      if (self->state.run == run && self->state.status.phase() == from)
        enter(self, to, paused ? "paused" : "running");
      if (self->state.unwritten && self->state.status.phase() == to)
        take_back_pause(self, paused, promise);
      else
        promise.deliver(wire::Done{});
    });
  });
  return promise;
}

caf::result<wire::Done> resize(instance_self self, const wire::Resources& to) {
  auto& s = self->state;
  if (!s.busy || (s.status.phase() != wire::PHASE_RUNNING && s.status.phase() != wire::PHASE_PAUSED))
    return caf::make_error(fault::conflict, s.what.name() + " does not run");
  auto promise = self->make_response_promise<wire::Done>();
  s.order.driver->resize(s.what.name(), to, [=, go = turn_of(self)](outcome<> done) {
    go([=]() mutable {
      if (done)
        promise.deliver(wire::Done{});
      else
        promise.deliver(caf::make_error(done.why().kind, done.why().text));
    });
  });
  return promise;
}

caf::result<wire::Done> restart(instance_self self) {
  auto& s = self->state;
  if (auto busy = on_the_move(self); !busy.empty())
    return caf::make_error(fault::conflict, std::move(busy));
  if (s.aim == instance_state::goal::run) {
    s.aim = instance_state::goal::restart;
    end_run(self, "stops, to be started again");
  }
  return wire::Done{};
}

instance_actor::behavior_type behave(instance_self self, instance_order order) {
  auto& s = self->state;
  s.order = std::move(order);
  self->set_down_handler([self](const caf::down_msg&) { self->quit(); });
  if (s.order.agent)
    self->monitor(s.order.agent);
  s.what = s.order.former.instance;
  s.status = s.order.former.status;
  s.status.set_name(s.what.name());
  s.status.set_epoch(s.what.epoch());
  s.status.set_generation(s.what.generation());
  s.status.set_node(s.order.node);
  if (s.status.phase() == wire::PHASE_UNSPECIFIED)
    s.status.set_phase(wire::PHASE_STARTING);
  s.policy.emplace(restart_rules(s.what.spec()), s.status.restarts());
  begin(self);
  take_figures(self);
  return {
      [=](const wire::LogRequest& x) { return read(self, x); },
      [=](const wire::ExecStart& x) { return open_session(self, x); },
      [=](const wire::ExecExchange& x) { return exchange(self, x); },
      [=](const wire::PauseInstance& x) { return pause(self, x.paused()); },
      [=](const wire::ResizeInstance& x) { return resize(self, x.resources()); },
      [=](const wire::RestartInstance&) { return restart(self); },
      [=](const wire::ConvertInstance& x) { return convert(self, x); },
      [=](const wire::CheckpointInstance& x) { return checkpoint(self, x); },
      [=](const wire::RestoreInstance& x) { return restore(self, x); },
      [=](const wire::CallInstance& x) { return take_call(self, x); },
      [=](remove_atom) {
        self->state.aim = instance_state::goal::remove;
        end_run(self, "stops: it is no longer wanted here");
      },
      [=](park_atom) {
        // What runs is ended by its driver.
        if (self->state.aim == instance_state::goal::run && !self->state.busy && !terminal(self->state.status.phase())) {
          self->state.aim = instance_state::goal::park;
          settle(self);
        }
      },
      [=](wake_atom) {
        auto& s = self->state;
        if (s.aim != instance_state::goal::park)
          return;
        s.aim = instance_state::goal::run;
        start(self);
      },
      [=](const relabelled& x) { relabel(self, x.as); },
      [=](const move_news& x) { heed_move(self, x); },
      [=](const turn& x) { x.work(); },
  };
}

} // namespace

instance_actor spawn_instance(caf::actor_system& system, instance_order order) {
  return system.spawn(behave, std::move(order));
}

} // namespace novacron::workload
