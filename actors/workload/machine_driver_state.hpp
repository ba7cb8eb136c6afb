#pragma once

/// The driver of machines, for the files that it is made of.

#include "actors/host/cgroup.hpp"
#include "actors/host/crew.hpp"
#include "actors/workload/bundle.hpp"
#include "actors/workload/guest_channel.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/instance_places.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/machine_files.hpp"
#include "actors/workload/machine_images.hpp"
#include "actors/workload/machine_orders.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/shim_runs.hpp"

#include <signal.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace novacron::workload {

/// What is known of a machine that this driver has in its hands.
struct held_machine : held_instance {
  machine_image image;
  process_arguments process;
  process_user user;
  int stop_signal = SIGTERM;
  /// Rises with each run, so that the timers of an earlier one are known.
  std::uint64_t run = 0;
  /// It may stand still and not be written down as paused: its node was killed in between.
  bool resumes = false;
  /// Why it was killed before it came up; empty unless it was.
  std::string late;
  /// What it was cloned from, until it has come up.
  machine_templates::found origin;
  /// The checkpoint that it begins from, until it has come up.
  std::optional<planted_checkpoint> restores;
  /// Somebody wants its end, before it has come up.
  bool unwanted = false;
  std::shared_ptr<machine_control> control;
  std::shared_ptr<guest_channel> channel;
};

class machines final : public machine_driver {
public:
  explicit machines(machine_settings settings);

  ~machines() override;

  std::vector<leftover> sweep() override;
  void prepare(const wire::Instance& what, const image_root& image, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] { return lay_out(what, image); });
  }
  void start(const std::string& name, then<running> done, over end) override {
    runs_.give([=, this] { begin(name, done, end); });
  }
  void adopt(const std::string& name, then<running> done, over end) override {
    runs_.give([=, this] { take_over(name, done, end); });
  }
  void receive(const std::string& name, then<running> done, over end) override {
    runs_.give([=, this] { launch(name, nullptr, done, end); });
  }
  void arrive(const wire::Instance& what, then<> done) override;
  bool departs(const std::string& name) const override {
    return std::filesystem::exists(directory(name).path() / machine_departing_file);
  }
  std::string why_immovable(const std::string& name) const override {
    return why_machine_stays(directory(name).path(), settings_.preload_lack);
  }
  void signal(const std::string& name, int number, then<> done) override;
  void pause(const std::string& name, bool paused, then<> done) override {
    if (const auto control = control_of(name))
      return control->pause(paused, std::move(done));
    done(trouble{fault::unreachable, "the monitor of " + name + " does not answer"});
  }
  void resize(const std::string& name, const wire::Resources& to, then<> done) override;
  void stats(const std::string& name, then<usage> done) override { runs_.stats(name, std::move(done)); }
  void exec(const std::string& name, const exec_order& what, then<std::shared_ptr<exec_process>> done) override {
    if (const auto channel = channel_of(name))
      return channel->exec(what, std::move(done));
    done(trouble{fault::unsupported,
                 name + " boots a disk of its own: there is no agent in it that could run something"});
  }
  void probe(const std::string& name, const wire::HealthCheck& check, then<> done) override;
  void remember(const std::string& name, const wire::InstanceStatus& status) override {
    places_.remember(name, status);
  }
  std::filesystem::path logs(const std::string& name) const override { return directory(name).log(); }
  std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what) override {
    return runs_.when_output(name, std::move(what));
  }
  void destroy(const std::string& name, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] { return remove(name); });
  }

  std::string why_unconvertible(const std::string& name) const override;
  outcome<> examine(const wire::Instance& what, const image_root& image) override;
  void get_ready(const wire::Instance& what, then<> done) override {
    runs_.give([=, this] { find_template(what, [done](const auto&) { done(nothing{}); }); });
  }
  void hold(const std::string& name, bool held, then<> done) override;
  outcome<> copy_files(const std::string& name, const std::filesystem::path& into) override;
  std::filesystem::path place(const std::string& name) const override { return directory(name).path(); }
  std::filesystem::path files_place(const std::string& name) const override { return directory(name).path() / "tree"; }

  void checkpoint(const std::string& name, const checkpoint_order& order, then<wire::Checkpoint> done) override;
  void set_back(const std::string& name, const std::string& checkpoint, then<> done) override;
  std::vector<wire::Checkpoint> checkpoints() override {
    return settings_.checkpoints ? settings_.checkpoints->list(checkpoint_ground()) : std::vector<wire::Checkpoint>{};
  }

  void make_template(const wire::WorkloadSpec& spec, then<template_facts> done) override {
    auto what = wire::Instance{};
    *what.mutable_spec() = spec;
    runs_.give([=, this] {
      find_template(what, [done](const outcome<machine_templates::found>& x) {
        done(x ? outcome<template_facts>{(*x)->facts} : outcome<template_facts>{x.why()});
      });
    });
  }

private:
  outcome<> lay_out(const wire::Instance& what, const image_root& image);
  outcome<> plant(const wire::Instance& what, const std::string& checkpoint);
  machine_link link_of(const held_machine& x) const;
  machine_link link_for(held_machine& x, shim_order& order);
  void write_orders(const held_machine& x, const machine_link& link);
  void make_group(const wire::WorkloadSpec& spec, const std::string& name);
  void find_template(const wire::Instance& what, const then<machine_templates::found>& done);
  void begin(const std::string& name, const then<running>& done, const over& end);
  void launch(const std::string& name, const machine_templates::found& origin, const then<running>& done,
              const over& end);
  void take_over(const std::string& name, const then<running>& done, const over& end);
  void connect(const std::string& name);
  void reach_monitor(const std::string& name, std::uint64_t run);
  void guest_is_up(const std::string& name, std::uint64_t run);
  void let_go_on(const std::string& name, std::uint64_t run);
  void renew(const std::string& name, std::uint64_t run, const std::string& box);
  void came_up(const std::string& name, std::uint64_t run);
  void give_up(const std::string& name, std::uint64_t run);
  void conclude(const std::string& name, ended how);
  outcome<> remove(const std::string& name);

  instance_directory directory(const std::string& name) const { return places_.directory(name); }

  std::shared_ptr<machine_control> control_of(const std::string& name) {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    return found == held_.end() ? nullptr : found->second.control;
  }
  std::shared_ptr<guest_channel> channel_of(const std::string& name) {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    return found == held_.end() ? nullptr : found->second.channel;
  }
  /// The host, once somebody needs it: to find out about the accelerator takes a while.
  const machine_host& host_facts() {
    std::call_once(asked_, [this] {
      facts_ = images_.facts();
      facts_.accelerated = settings_.accelerated();
      facts_.cpus = std::max(1u, std::thread::hardware_concurrency());
      facts_.processes_max = settings_.pids_max;
      processor_ = describe_processor();
    });
    return facts_;
  }

  checkpoint_host checkpoint_ground() {
    const auto& facts = host_facts();
    return {{.monitor = settings_.monitor->edition(), .processor = processor_, .guest = facts.guest}, facts.stamp_khz};
  }

  const machine_settings settings_;
  machine_images images_;
  const host::cgroup_layout layout_ = host::find_cgroups();
  const instance_places places_{settings_.data / "machines", place_tag(settings_.data / "machines"), layout_};
  std::once_flag asked_;
  machine_host facts_;
  std::string processor_;
  mutable std::mutex guard_;
  std::map<std::string, held_machine> held_;
  bool closing_ = false;
  /// Ends early: its threads use all of the above.
  shim_runs runs_{places_,
                  {settings_.data, settings_.log_segment_bytes, settings_.log_segments},
                  [this](const std::string& name, const ended& how) { conclude(name, how); }};
  /// Writes checkpoints, one at a time: each has the disk for a while. Ends first: it waits for what runs.
  host::crew writers_{1};
};

} // namespace novacron::workload
