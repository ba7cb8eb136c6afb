// What becomes of machines that run, besides their end: they move, change their format, are written down and put back.

#include "actors/workload/machine_driver_state.hpp"

#include <chrono>
#include <exception>

namespace novacron::workload {

std::string machines::why_unconvertible(const std::string& name) const {
  const auto lock = std::lock_guard{guard_};
  const auto found = held_.find(name);
  if (found == held_.end() || !found->second.image.whole_disk)
    return {};
  return "it boots a whole disk, whose files are of a system of its own and not an image's; only what runs from an "
         "image "
         "can change its format";
}

/// Its file systems stand still before its processors do, so that what is on its disk is whole.
void machines::hold(const std::string& name, bool held, then<> done) {
  const auto channel = channel_of(name);
  const auto control = control_of(name);
  if (!channel || !control || !channel->up())
    return done(trouble{fault::unreachable, "the guest of " + name + " does not answer"});
  if (!held)
    return control->pause(false, [channel, done](outcome<> on) {
      if (!on)
        return done(std::move(on));
      channel->hold(false, done);
    });
  channel->hold(true, [control, done](outcome<> still) {
    if (!still)
      return done(std::move(still));
    control->pause(true, done);
  });
}

outcome<> machines::copy_files(const std::string& name, const std::filesystem::path& into) {
  const auto place = directory(name).path();
  const auto whole = place / "root.copy";
  auto error = std::error_code{};
  const auto copied = copy_disk_files(place / machine_root_file, whole, into);
  std::filesystem::remove(whole, error);
  return copied;
}

void machines::arrive(const wire::Instance& what, then<> done) {
  runs_.give([=, this] {
    auto control = std::shared_ptr<machine_control>{};
    try {
      directory(what.name()).write(what);
    } catch (const std::exception& problem) {
      return done(trouble{fault::storage, problem.what()});
    }
    {
      const auto lock = std::lock_guard{guard_};
      const auto found = held_.find(what.name());
      if (found == held_.end() || !found->second.control)
        return done(trouble{fault::unreachable, "the machine of " + what.name() + " does not answer"});
      found->second.what = what;
      control = found->second.control;
    }
    control->pause(false, done);
  });
}

outcome<> machines::plant(const wire::Instance& what, const std::string& checkpoint) {
  const auto& name = what.name();
  if (!settings_.checkpoints)
    return trouble{fault::unsupported, "this node keeps no checkpoints"};
  const auto link = what.spec().network().mode() == "none" ? machine_link{} : relayed_link();
  const auto shape = machine_shape(plan_machine(what, host_facts(), {}, link));
  return settings_.checkpoints->plant(checkpoint, what, shape, checkpoint_ground(), directory(name).path());
}

void machines::set_back(const std::string& name, const std::string& checkpoint, then<> done) {
  runs_.answer<nothing>(std::move(done), [=, this]() -> outcome<> {
    auto what = wire::Instance{};
    {
      const auto lock = std::lock_guard{guard_};
      const auto found = held_.find(name);
      if (found == held_.end() || found->second.image.whole_disk)
        return trouble{fault::unsupported, name + " is no machine that could begin from a checkpoint"};
      what = found->second.what;
    }
    return plant(what, checkpoint);
  });
}

void machines::checkpoint(const std::string& name, const checkpoint_order& order, then<wire::Checkpoint> done) {
  auto of =
      checkpoint_subject{.place = directory(name).path(), .log = logs(name), .name = order.name, .pause = order.pause};
  auto whole = false;
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end()) {
      of.what = found->second.what;
      of.control = found->second.control;
      whole = found->second.image.whole_disk;
    }
  }
  if (auto refusal = refuse_checkpoint(of.what.spec(), whole); !refusal.empty())
    return done(trouble{fault::bad_request, std::move(refusal)});
  if (!settings_.checkpoints || !of.control)
    return done(settings_.checkpoints ? trouble{fault::unreachable, "the monitor of " + name + " does not answer"}
                                      : trouble{fault::unsupported, "this node keeps no checkpoints"});
  writers_.give([=, this]() mutable {
    try {
      const auto link = of.what.spec().network().mode() == "none" ? machine_link{} : relayed_link();
      const auto plan = plan_machine(of.what, host_facts(), {}, link);
      of.shape = machine_shape(plan);
      of.memory_bytes = plan.memory_bytes;
      of.host = checkpoint_ground();
      done(settings_.checkpoints->make(of));
    } catch (const std::exception& problem) {
      done(trouble{fault::storage, problem.what()});
    }
  });
}

/// What stood still when it was written down does so when all of it has come, and nobody says when that is.
void machines::let_go_on(const std::string& name, std::uint64_t run) {
  constexpr auto again = std::chrono::milliseconds{10};
  auto control = std::shared_ptr<machine_control>{};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (closing_ || found == held_.end() || found->second.run != run || !found->second.restores ||
        !found->second.channel || found->second.channel->up())
      return;
    control = found->second.control;
  }
  control->pause(false, [](outcome<>) {});
  runs_.loop().after(again, [=, this] { let_go_on(name, run); });
}

/// A guest that was restored runs as who it was until it is told who it is, and counts as started from then on.
void machines::renew(const std::string& name, std::uint64_t run, const std::string& box) {
  const auto channel = channel_of(name);
  if (!channel)
    return;
  channel->renew(box, [=, this](const outcome<>& told) {
    {
      const auto lock = std::lock_guard{guard_};
      const auto found = held_.find(name);
      if (found == held_.end() || found->second.run != run)
        return;
      if (told)
        found->second.restores.reset();
      else
        found->second.late = told.why().text;
    }
    if (told) {
      forget_planted(directory(name).path());
      return came_up(name, run);
    }
    if (const auto process = directory(name).container())
      signal_process(*process, SIGKILL);
  });
}

} // namespace novacron::workload
