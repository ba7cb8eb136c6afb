#include "actors/simulation/machine.hpp"

#include <signal.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace novacron::simulation {

using namespace std::chrono_literals;
using workload::ended;
using workload::trouble;

// -- disk ------------------------------------------------------------------------------------------------------------

std::optional<std::string> virtual_disk::read(const std::filesystem::path& name) {
  const auto found = files_.find(name.string());
  return found == files_.end() ? std::nullopt : std::optional{found->second.now};
}

void virtual_disk::replace(const std::filesystem::path& name, std::string_view content) {
  if (full_)
    throw std::system_error{ENOSPC, std::system_category(), "cannot write " + name.string()};
  auto& file = files_[name.string()];
  if (!file.dirty && !file.now.empty())
    file.settled = file.now;
  file.now = content;
  file.dirty = true;
  last_written_ = name.string();
}

void virtual_disk::settle(const std::filesystem::path& name) {
  if (full_)
    throw std::system_error{ENOSPC, std::system_category(), "cannot write " + name.string()};
  auto& file = files_[name.string()];
  file.dirty = false;
  file.settled.reset();
}

void virtual_disk::lose_power(bool torn) {
  for (auto file = files_.begin(); file != files_.end();) {
    auto& [name, x] = *file;
    if (!x.dirty) {
      ++file;
      continue;
    }
    x.dirty = false;
    if (torn && name == last_written_)
      x.now.resize(x.now.size() / 2);
    else if (x.settled)
      x.now = *std::exchange(x.settled, std::nullopt);
    else {
      file = files_.erase(file);
      continue;
    }
    ++file;
  }
}

// -- driver ----------------------------------------------------------------------------------------------------------

namespace {

trouble none_such(const std::string& name) {
  return {fault::not_found, "there is no instance " + name};
}

ended by_signal(int number) {
  return {.code = 128 + number, .reason = number == SIGKILL ? "killed by signal 9" : "ended by signal 15"};
}

} // namespace

void lose_runs(machine& on, run_watcher& witness) {
  for (auto& [name, x] : on.runs) {
    if (x.alive)
      witness.ended(on.number, x.what);
    if (x.alive || (!x.how && x.number > 0))
      x.how = ended{.code = 255, .reason = "the host went down"};
    x.alive = false;
    x.paused = false;
    x.number = ++on.run_count;
    x.over = nullptr;
  }
}

const image_behavior& virtual_driver::behavior_of(const virtual_run& x) const {
  static const auto usual = image_behavior{};
  const auto found = around_.images.find(x.what.spec().program().image());
  return found == around_.images.end() ? usual : found->second;
}

moment virtual_driver::drawn(moment least, moment most) {
  const auto width = static_cast<std::uint64_t>(std::max<std::int64_t>(0, (most - least).count())) + 1;
  return least + moment{static_cast<std::int64_t>(around_.chance() % width)};
}

bool virtual_driver::struck(std::uint32_t of_a_million) {
  return of_a_million > 0 && around_.chance() % 1'000'000 < of_a_million;
}

std::vector<workload::leftover> virtual_driver::sweep() {
  auto found = std::vector<workload::leftover>{};
  if (around_.planted == plant::blind_sweep)
    return found;
  for (auto& [name, x] : on_.runs)
    found.push_back({.instance = x.what, .status = x.status, .alive = x.alive, .how = x.alive ? std::nullopt : x.how});
  return found;
}

void virtual_driver::prepare(const wire::Instance& what, const workload::image_root&, workload::then<> done) {
  if (on_.disk->full())
    return done(trouble{fault::storage, "no space left on the device"});
  later(drawn(5ms, 40ms), [this, what, done] {
    auto& x = on_.runs[what.name()];
    x.what = what;
    x.how.reset();
    done(workload::nothing{});
  });
}

void virtual_driver::start(const std::string& name, workload::then<workload::running> done, over end) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end())
    return done(none_such(name));
  auto& x = found->second;
  const auto& how = behavior_of(x);
  x.over = std::move(end);
  x.listener = life_;
  const auto number = x.number = ++on_.run_count;
  if (struck(how.start_fails)) {
    later(drawn(how.start_min, how.start_max), [this, name, number, done] {
      if (on_.runs[name].number == number)
        done(trouble{fault::unavailable, "the program could not be started"});
    });
    return;
  }
  later(drawn(how.start_min, how.start_max), [this, name, number, done] {
    if (const auto at = on_.runs.find(name); at != on_.runs.end() && at->second.number == number)
      come_alive(name, done);
  });
}

void virtual_driver::watch_lease(machine& on, surroundings around, const std::string& name, std::uint64_t number) {
  const auto found = on.runs.find(name);
  if (found == on.runs.end() || found->second.number != number || !found->second.alive)
    return;
  auto& x = found->second;
  const auto patience = moment{workload::patience_of(x.what.spec())};
  if (patience == moment{0} || around.planted == plant::deaf_lease)
    return;
  const auto now = around.stage.now() - on.booted;
  if (now - on.lease < patience) {
    around.stage.plan(on.lease + patience - now, 0,
                      [&on, around, name, number] { watch_lease(on, around, name, number); });
    return;
  }
  auto how = by_signal(SIGTERM);
  how.reason = "the lease of the node is over";
  how.lease_over = true;
  x.alive = false;
  x.how = how;
  around.witness.ended(on.number, x.what);
  if (x.over && around.stage.alive(x.listener)) {
    around.stage.become(x.listener);
    std::exchange(x.over, nullptr)(how);
    around.stage.become(0);
  }
}

void virtual_driver::come_alive(const std::string& name, workload::then<workload::running> done) {
  auto& x = on_.runs.at(name);
  const auto patience = moment{workload::patience_of(x.what.spec())};
  if (patience > moment{0} && around_.stage.now() - on_.booted - on_.lease >= patience) {
    x.over = nullptr;
    return done(trouble{fault::unreachable, "the lease of the node is over"});
  }
  x.alive = true;
  x.how.reset();
  x.started = around_.stage.now();
  x.cpu_usec = 0;
  around_.witness.began(on_.number, x.what);
  done(workload::running{.pid = 1, .address = "", .started_ms = around_.wall_ms()});
  watch_lease(on_, around_, name, x.number);
  const auto& how = behavior_of(x);
  if (how.run_max.count() == 0)
    return;
  auto end = ended{.code = how.exit_code, .reason = how.exit_code == 0 ? "completed" : "failed"};
  if (struck(how.run_fails))
    end = {.code = 1, .reason = "failed by chance"};
  // What runs goes on when the node process ends, so this belongs to no life.
  around_.stage.plan(drawn(how.run_min, how.run_max), 0,
                     [on = &on_, stage = &around_.stage, witness = &around_.witness, name, number = x.number, end] {
                       auto found = on->runs.find(name);
                       if (found == on->runs.end() || found->second.number != number || !found->second.alive)
                         return;
                       auto& run = found->second;
                       run.alive = false;
                       run.how = end;
                       witness->ended(on->number, run.what);
                       if (run.over && stage->alive(run.listener)) {
                         stage->become(run.listener);
                         std::exchange(run.over, nullptr)(end);
                       }
                     });
}

void virtual_driver::adopt(const std::string& name, workload::then<workload::running> done, over end) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end())
    return done(none_such(name));
  auto& x = found->second;
  x.over = std::move(end);
  x.listener = life_;
  done(workload::running{.pid = 1, .address = "", .started_ms = x.status.started_ms()});
  // It may have ended between the sweep and now.
  if (!x.alive)
    later(1ms, [this, name, number = x.number] {
      auto& x = on_.runs.at(name);
      if (x.number == number && x.over)
        std::exchange(x.over, nullptr)(x.how.value_or(ended{.code = 255, .reason = "it is gone"}));
    });
}

void virtual_driver::end_run(const std::string& name, std::uint64_t number, ended how) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end() || found->second.number != number || !found->second.alive)
    return;
  auto& x = found->second;
  x.alive = false;
  x.how = how;
  around_.witness.ended(on_.number, x.what);
  if (x.over)
    std::exchange(x.over, nullptr)(how);
}

void virtual_driver::signal(const std::string& name, int number, workload::then<> done) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end())
    return done(none_such(name));
  auto& x = found->second;
  if (!x.alive && x.over && !x.how) {
    // It has not come up yet: it never will.
    const auto end = std::exchange(x.over, nullptr);
    x.number = ++on_.run_count;
    x.how = by_signal(number);
    later(1ms, [end, number] { end(by_signal(number)); });
    return done(workload::nothing{});
  }
  if (around_.planted == plant::leaky_end && x.alive && ++on_.leaks % 5 == 0) {
    // The process runs on beside everything that is known of it.
    auto how = by_signal(number);
    x.alive = false;
    x.how = how;
    if (x.over)
      std::exchange(x.over, nullptr)(how);
    return done(workload::nothing{});
  }
  const auto wait = number == SIGKILL ? moment{1ms} : drawn(10ms, 300ms);
  if (number == SIGKILL || number == SIGTERM)
    later(wait, [this, name, run = x.number, number] { end_run(name, run, by_signal(number)); });
  done(workload::nothing{});
}

void virtual_driver::pause(const std::string& name, bool paused, workload::then<> done) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end() || !found->second.alive)
    return done(none_such(name));
  found->second.paused = paused;
  done(workload::nothing{});
}

void virtual_driver::resize(const std::string& name, const wire::Resources&, workload::then<> done) {
  return on_.runs.contains(name) ? done(workload::nothing{}) : done(none_such(name));
}

void virtual_driver::stats(const std::string& name, workload::then<workload::usage> done) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end() || !found->second.alive)
    return done(none_such(name));
  auto& x = found->second;
  const auto& wanted = x.what.spec().resources();
  const auto age = std::chrono::duration_cast<std::chrono::microseconds>(around_.stage.now() - x.started).count();
  x.cpu_usec = static_cast<std::uint64_t>(age) * wanted.cpu_milli() / 1000 * behavior_of(x).load / 1000;
  done(workload::usage{.cpu_usec = x.cpu_usec, .memory_bytes = wanted.memory_bytes() * behavior_of(x).load / 1000});
}

void virtual_driver::exec(const std::string& name, const workload::exec_order&,
                          workload::then<std::shared_ptr<workload::exec_process>> done) {
  done(trouble{fault::unsupported, name + " runs in the virtual world, where no programs are"});
}

void virtual_driver::probe(const std::string& name, const wire::HealthCheck&, workload::then<> done) {
  const auto found = on_.runs.find(name);
  if (found == on_.runs.end() || !found->second.alive || behavior_of(found->second).unhealthy)
    return done(trouble{fault::unavailable, "it does not answer its health check"});
  done(workload::nothing{});
}

void virtual_driver::remember(const std::string& name, const wire::InstanceStatus& status) {
  if (const auto found = on_.runs.find(name); found != on_.runs.end())
    found->second.status = status;
}

std::filesystem::path virtual_driver::logs(const std::string& name) const {
  return std::filesystem::path{"/virtual"} / on_.facts.name() / name;
}

std::shared_ptr<void> virtual_driver::when_output(const std::string&, std::function<void()>) {
  return std::make_shared<int>(0);
}

void virtual_driver::destroy(const std::string& name, workload::then<> done) {
  const auto found = on_.runs.find(name);
  if (found != on_.runs.end() && found->second.alive)
    return done(trouble{fault::conflict, name + " still runs"});
  later(drawn(5ms, 60ms), [this, name, done] {
    if (const auto at = on_.runs.find(name); at != on_.runs.end() && !at->second.alive)
      on_.runs.erase(at);
    done(workload::nothing{});
  });
}

} // namespace novacron::simulation
