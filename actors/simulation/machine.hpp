#pragma once

/// A virtual host as a thing: what it has, what it runs, and what lies on its disk. It outlives the node process on it.

#include "actors/host/files.hpp"
#include "actors/simulation/director.hpp"
#include "actors/simulation/network.hpp"
#include "actors/simulation/plant.hpp"
#include "actors/workload/driver.hpp"
#include "actors/workload/lease.hpp"
#include "messages/wire/node.pb.h"

#include <map>
#include <memory>
#include <string>

namespace novacron::simulation {

namespace wire = novacron::v1;

/// A disk that knows what was synced: a loss of power takes the rest, and may tear what was written last.
class virtual_disk : public host::disk {
public:
  void make_directory(const std::filesystem::path&) override {}
  std::optional<std::string> read(const std::filesystem::path& name) override;
  void replace(const std::filesystem::path& name, std::string_view content) override;
  void settle(const std::filesystem::path& name) override;

  /// The power is gone: what was not settled is as it was before. With `torn`, half of one of the new contents stays.
  void lose_power(bool torn);
  void fill(bool full) { full_ = full; }
  bool full() const { return full_; }

private:
  struct file {
    std::string now;
    std::optional<std::string> settled;
    bool dirty = false;
  };
  std::map<std::string, file> files_;
  std::string last_written_;
  bool full_ = false;
};

/// How instances of an image behave. Times are drawn evenly between the two ends.
struct image_behavior {
  moment start_min = std::chrono::milliseconds{200};
  moment start_max = std::chrono::milliseconds{1500};
  /// Of a million starts.
  std::uint32_t start_fails = 0;
  /// How long a run lasts; 0 means until it is ended.
  moment run_min{0};
  moment run_max{0};
  int exit_code = 0;
  /// Of a million runs that end by themselves, those that fail.
  std::uint32_t run_fails = 0;
  bool unhealthy = false;
  /// Share of the requested processor that it uses, in thousandths.
  std::uint32_t load = 500;
};

/// Is told what really runs, and never asks the actors.
class run_watcher {
public:
  virtual ~run_watcher() = default;
  virtual void began(host_number where, const wire::Instance& what) = 0;
  virtual void ended(host_number where, const wire::Instance& what) = 0;
};

/// What an instance is on a virtual host.
struct virtual_run {
  wire::Instance what;
  wire::InstanceStatus status;
  bool alive = false;
  bool paused = false;
  /// Of the start, unlike all others on this host, so that an older start or end is known.
  std::uint64_t number = 0;
  std::optional<workload::ended> how;
  workload::driver::over over;
  /// Of the node process that listens.
  life_number listener = 0;
  moment started{0};
  std::uint64_t cpu_usec = 0;
};

struct machine {
  host_number number = 0;
  wire::NodeFacts facts;
  life_number life = 0;
  bool up = false;
  std::shared_ptr<virtual_disk> disk = std::make_shared<virtual_disk>();
  std::map<std::string, virtual_run> runs;
  std::uint64_t run_count = 0;
  /// When something was sent that a controller has answered, since boot; zero for never.
  moment lease{0};
  /// When it was switched on last; its time since boot begins there.
  moment booted{0};
  /// What its wall clock is wrong by, and by how many millionths its clocks run fast.
  moment wall_offset{0};
  std::int64_t drift_ppm = 0;
  /// How many times slower than usual it works; 1 is usual, 0 stuck.
  std::uint32_t slowness = 1;
  std::uint64_t starts = 0;
  /// For a planted bug.
  std::uint64_t leaks = 0;

  bool is_controller() const { return facts.role() == "cloud" || facts.role() == "hybrid"; }
};

/// Runs instances on a virtual host in place of containers.
class virtual_driver : public workload::driver {
public:
  struct surroundings {
    director& stage;
    std::map<std::string, image_behavior>& images;
    std::mt19937_64& chance;
    run_watcher& witness;
    /// Wall clock of the host, milliseconds.
    std::function<std::int64_t()> wall_ms;
    plant planted = plant::none;
  };

  virtual_driver(machine& on, surroundings around) : on_{on}, around_{around}, life_{on.life} {}

  std::vector<workload::leftover> sweep() override;
  void prepare(const wire::Instance& what, const workload::image_root& image, workload::then<> done) override;
  void start(const std::string& name, workload::then<workload::running> done, over end) override;
  void adopt(const std::string& name, workload::then<workload::running> done, over end) override;
  void signal(const std::string& name, int number, workload::then<> done) override;
  void pause(const std::string& name, bool paused, workload::then<> done) override;
  void resize(const std::string& name, const wire::Resources& to, workload::then<> done) override;
  void stats(const std::string& name, workload::then<workload::usage> done) override;
  void exec(const std::string& name, const workload::exec_order& what,
            workload::then<std::shared_ptr<workload::exec_process>> done) override;
  void probe(const std::string& name, const wire::HealthCheck& check, workload::then<> done) override;
  void remember(const std::string& name, const wire::InstanceStatus& status) override;
  std::filesystem::path logs(const std::string& name) const override;
  std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what) override;
  void destroy(const std::string& name, workload::then<> done) override;

private:
  const image_behavior& behavior_of(const virtual_run& x) const;
  moment drawn(moment least, moment most);
  bool struck(std::uint32_t of_a_million);
  /// In a moment, unless the node process ends before.
  void later(moment delay, std::function<void()> what) { around_.stage.plan(delay, life_, std::move(what)); }
  /// As the shim does: ends a run whose lease is over, also while no node process is there.
  static void watch_lease(machine& on, surroundings around, const std::string& name, std::uint64_t number);
  void come_alive(const std::string& name, workload::then<workload::running> done);
  void end_run(const std::string& name, std::uint64_t number, workload::ended how);

  machine& on_;
  surroundings around_;
  life_number life_;
};

/// The lease of a virtual host: its agent renews it, and what watches the runs reads it.
class virtual_lease : public workload::lease {
public:
  explicit virtual_lease(machine& on) : on_{on} {}
  duration confirmed() const override { return on_.lease; }
  void confirm(duration sent) override { on_.lease = sent; }

private:
  machine& on_;
};

/// The power of a host goes: nothing on it runs any more.
void lose_runs(machine& on, run_watcher& witness);

} // namespace novacron::simulation
