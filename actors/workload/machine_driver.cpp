#include "actors/workload/machine_driver.hpp"

#include "actors/host/files.hpp"
#include "actors/workload/machine_driver_state.hpp"
#include "actors/workload/probe.hpp"

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Between attempts to reach a monitor that does not listen yet.
constexpr auto retry_delay = 10ms;
constexpr auto files_max = std::uint64_t{65'536};
constexpr auto no_kernel = "there is no kernel for guests here (share/guest/prepare makes one)";
/// A clone that does not come up in a part of the time that a boot may take boots in the rest.
constexpr auto clone_part = 3;

/// Makes the directory, and names the node's one as nobody else can.
machine_settings on_disk(machine_settings settings) {
  fs::create_directories(settings.data / "machines");
  settings.data = fs::canonical(settings.data);
  return settings;
}

} // namespace

machines::machines(machine_settings settings)
    : settings_{on_disk(std::move(settings))}, images_{settings_.data, settings_.guest} {}

machines::~machines() {
  // Who waits for one would begin a run.
  if (settings_.templates)
    settings_.templates->end();
  if (settings_.checkpoints)
    settings_.checkpoints->end();
  writers_.end();
  // Monitors and guests wait for callbacks that may want the guard, so they go once it is free.
  auto closed = std::map<std::string, held_machine>{};
  {
    const auto lock = std::lock_guard{guard_};
    closing_ = true;
    closed.swap(held_);
  }
}

outcome<> machines::examine(const wire::Instance& what, const image_root& image) {
  const auto& name = what.name();
  const auto& spec = what.spec();
  if (!is_instance_name(name))
    return trouble{fault::bad_request, "\"" + name + "\" is no name for an instance"};
  if (const auto lack = settings_.monitor->lack(); !lack.empty())
    return trouble{fault::unsupported, "this node runs no machines: " + lack};
  const auto whole = spec.kind() == wire::WORKLOAD_KIND_VM ? whole_disk_in(image.root) : std::nullopt;
  const auto kind = machine_image{.whole_disk = whole.has_value()};
  const auto process = arguments_for(what, image.config, what.node());
  if (const auto refusal = refuse_machine(spec, process, kind, {}); !refusal.empty())
    return trouble{fault::bad_request, refusal};
  if (!whole && !images_.has_kernel())
    return trouble{fault::unsupported, no_kernel};
  return nothing{};
}

outcome<> machines::lay_out(const wire::Instance& what, const image_root& image) {
  if (auto good = examine(what, image); !good)
    return good;
  const auto& name = what.name();
  const auto& spec = what.spec();
  const auto whole = spec.kind() == wire::WORKLOAD_KIND_VM ? whole_disk_in(image.root) : std::nullopt;
  const auto kind = machine_image{.whole_disk = whole.has_value()};
  const auto process = arguments_for(what, image.config, what.node());
  const auto user = whole ? process_user{} : user_in(image.root, process.user).value_or(process_user{});
  const auto place = directory(name);
  place.lay_out();
  place.write(what);
  // As it is started for the first time; what it had after that is its own, in whatever format.
  const auto begins =
      !fs::exists(place.path() / machine_root_file) && !planted_in(place.path()) && !fs::exists(files_place(name));
  if (begins && !spec.checkpoint().empty())
    if (auto planted = plant(what, spec.checkpoint()); !planted)
      return planted;
  if (!planted_in(place.path()))
    images_.make_root(place.path(), image, whole, spec.resources().disk_bytes());
  // What it was made of, when it was another format before.
  fs::remove_all(files_place(name));
  const auto lock = std::lock_guard{guard_};
  auto& x = held_[name];
  x.what = what;
  x.image = kind;
  x.process = process;
  x.user = user;
  x.stop_signal = stop_signal_of(image.config);
  return nothing{};
}

machine_link machines::link_of(const held_machine& x) const {
  if (x.what.spec().network().mode() == "none")
    return {};
  if (!settings_.networks || !x.address)
    return relayed_link();
  return {machine_network::kind::bridged, *x.address, settings_.networks->gateway(), host::find_resolver()};
}

/// Decides the network of a start.
machine_link machines::link_for(held_machine& x, shim_order& order) {
  const auto& wanted = x.what.spec().network();
  order.mode = "host";
  if (wanted.mode() == "none")
    return {};
  if (!settings_.networks) {
    order.relays = true;
    return link_of(x);
  }
  x.network = settings_.networks->attach(x.address);
  x.address = x.network.address;
  order.link = x.network.fd;
  order.address = to_string(*x.address);
  for (const auto& port : wanted.ports())
    if (port.host() > 0)
      order.ports.emplace_back(port.host(), port.inside());
  return link_of(x);
}

/// Everything that its process and its guest read.
void machines::write_orders(const held_machine& x, const machine_link& link) {
  const auto place = directory(x.what.name()).path();
  const auto& facts = host_facts();
  auto plan = plan_machine(x.what, facts, x.image, link);
  if (x.origin)
    plan = plan_clone(std::move(plan));
  else if (x.restores)
    plan.beginning = machine_beginning::restored;
  if (x.what.move().arrives()) {
    plan.beginning = machine_beginning::arrival;
    // It comes with the guest: that of this node has the same files, but not in the same places.
    make_empty_base(place);
  }
  if (!x.image.whole_disk)
    host::replace_file(place / machine_box_file,
                       box_content(x.what, x.process, x.user, facts, link, birth_now(), x.stop_signal, files_max));
  for (const auto& disk : plan.disks)
    if (disk.file == machine_seed_file)
      make_seed(seed_files(x.what, link), place / machine_seed_file);
  write_command(place, settings_.monitor->command(plan), settings_.preload);
}

void machines::make_group(const wire::WorkloadSpec& spec, const std::string& name) {
  const auto made = places_.group(name);
  static_cast<void>(made.destroy());
  made.create();
  if (layout_.controls("memory"))
    made.limit(0, machine_memory_limit(spec));
  if (layout_.controls("cpu"))
    made.limit(spec.resources().cpu_milli(), 0);
}

/// Answers as machine_templates::want does.
void machines::find_template(const wire::Instance& what, const then<machine_templates::found>& done) {
  const auto kind = what.spec().kind();
  if (!settings_.templates)
    return done(trouble{fault::unsupported, "this node makes no templates"});
  if (kind != wire::WORKLOAD_KIND_SANDBOX && kind != wire::WORKLOAD_KIND_VM)
    return done(trouble{fault::bad_request, "only sandboxes and virtual machines begin from a template"});
  if (!images_.has_kernel())
    return done(trouble{fault::unsupported, no_kernel});
  try {
    const auto& facts = host_facts();
    // Of its network the template knows only whether there is one.
    const auto link = what.spec().network().mode() == "none" ? machine_link{} : relayed_link();
    settings_.templates->want(plan_machine(what, facts, {}, link), what.spec().tenant(), {facts.guest, facts.stamp_khz},
                              done);
  } catch (const std::exception& problem) {
    done(trouble{fault::unspecified, problem.what()});
  }
}

/// Finds out what it begins from, which may take as long as a boot; without a template it boots.
void machines::begin(const std::string& name, const then<running>& done, const over& end) {
  auto what = wire::Instance{};
  auto boots = false;
  {
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[name];
    x.unwanted = false;
    what = x.what;
    boots = x.image.whole_disk || planted_in(directory(name).path());
  }
  if (boots)
    return launch(name, nullptr, done, end);
  find_template(what, [=, this](const outcome<machine_templates::found>& x) {
    runs_.give([=, this] { launch(name, x ? *x : nullptr, done, end); });
  });
}

void machines::launch(const std::string& name, const machine_templates::found& origin, const then<running>& done,
                      const over& end) {
  // Its network is there for as long as somebody has the descriptor: until the shim has it, that is this.
  auto now = held_machine{};
  auto state = descriptor{};
  const auto fill = [&](shim_order& order) {
    order.machine = "machine";
    {
      const auto lock = std::lock_guard{guard_};
      auto& x = held_.at(name);
      if (std::exchange(x.unwanted, false))
        throw std::runtime_error{"was ended before it had begun"};
      now.what = x.what;
      now.image = x.image;
      now.process = x.process;
      now.user = x.user;
      now.stop_signal = x.stop_signal;
      now.address = x.address;
      now.origin = origin;
    }
    if (origin) {
      state = open_state(*origin);
      order.state = state.get();
      order.memory = origin->memory.get();
      // What a whole computer gives back to the host must be its own.
      order.owns_memory = !origin->facts.small;
    }
    now.restores = planted_in(directory(name).path());
    if (now.restores) {
      state = begin_from_planted(directory(name).path());
      order.state = state.get();
    }
    const auto link = link_for(now, order);
    write_orders(now, link);
    make_group(now.what.spec(), name);
    limit_silence(order, now.what.spec());
    const auto lock = std::lock_guard{guard_};
    auto& x = held_.at(name);
    x.address = now.address;
    x.expect(done, end);
    x.late.clear();
    x.origin = origin;
    x.restores = now.restores;
    ++x.run;
  };
  runs_.begin(name, done, fill, [=, this] { connect(name); });
}

/// Its process is there: reaches for its monitor and for the agent in its guest.
void machines::connect(const std::string& name) {
  auto run = std::uint64_t{0};
  auto patience = settings_.up_patience;
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (closing_ || found == held_.end() || found->second.control || found->second.channel)
      return;
    run = found->second.run;
    if (found->second.origin)
      patience /= clone_part;
    if (!found->second.image.whole_disk)
      found->second.channel = open_guest_channel(runs_.loop(), directory(name).path(), machine_control_socket,
                                                 [=, this] { guest_is_up(name, run); });
  }
  reach_monitor(name, run);
  runs_.loop().after(patience, [=, this] { give_up(name, run); });
}

void machines::reach_monitor(const std::string& name, std::uint64_t run) {
  settings_.monitor->open(runs_.loop(), directory(name).path(), [=, this](outcome<std::shared_ptr<machine_control>> x) {
    auto whole = false;
    auto resumes = false;
    {
      const auto lock = std::lock_guard{guard_};
      const auto found = held_.find(name);
      if (closing_ || found == held_.end() || found->second.run != run)
        return;
      // In a guest that has not come nobody answers.
      whole = found->second.image.whole_disk || found->second.what.move().arrives();
      resumes = x && std::exchange(found->second.resumes, false);
      if (x)
        found->second.control = *x;
    }
    if (resumes)
      (*x)->pause(false, [](outcome<>) {});
    if (x)
      let_go_on(name, run);
    if (!x)
      runs_.loop().after(retry_delay, [=, this] { reach_monitor(name, run); });
    else if (whole)
      came_up(name, run);
  });
}

/// A node that was killed while a guest's files stood still told nobody to let them go on.
void machines::guest_is_up(const std::string& name, std::uint64_t run) {
  if (const auto channel = channel_of(name))
    channel->send({"hold", "0", "0"});
  auto box = std::string{};
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end() && found->second.restores) {
      const auto& x = found->second;
      box = renewal_content(x.what, link_of(x), birth_now(), x.restores->instance != name);
    }
  }
  box.empty() ? came_up(name, run) : renew(name, run, box);
}

void machines::came_up(const std::string& name, std::uint64_t run) {
  const auto process = directory(name).container();
  auto answer = std::function<void()>{};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found == held_.end() || found->second.run != run)
      return;
    answer = found->second.begun(process ? process->pid : -1);
    found->second.origin = nullptr;
  }
  answer();
}

void machines::give_up(const std::string& name, std::uint64_t run) {
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found == held_.end() || found->second.run != run || !found->second.started)
      return;
    const auto seconds = std::chrono::duration<double>{settings_.up_patience}.count();
    found->second.late = fmt::format("could not be started: its guest did not come up in {:.0f} s", seconds);
  }
  if (const auto process = directory(name).container())
    signal_process(*process, SIGKILL);
}

void machines::conclude(const std::string& name, ended how) {
  auto over_now = held_machine{};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found == held_.end())
      return;
    auto& x = found->second;
    ++x.run;
    over_now.started = std::exchange(x.started, nullptr);
    over_now.end = std::exchange(x.end, nullptr);
    over_now.control = std::exchange(x.control, nullptr);
    over_now.channel = std::exchange(x.channel, nullptr);
    over_now.network = std::move(x.network);
    over_now.late = std::exchange(x.late, {});
    over_now.origin = std::exchange(x.origin, nullptr);
    over_now.unwanted = x.unwanted;
    over_now.restores = std::exchange(x.restores, std::nullopt);
  }
  const auto unheard = !parse_outcome(host::read_file(directory(name).path() / machine_outcome_file).value_or(""));
  if (over_now.origin && over_now.started && !over_now.unwanted && !how.lease_over && unheard) {
    // Nobody in its guest has said why: it may be its template, so it begins without one.
    settings_.templates->spoiled(*over_now.origin);
    return runs_.give([=, this, done = over_now.started, end = *over_now.end] { launch(name, nullptr, done, end); });
  }
  if (over_now.restores && over_now.started && !over_now.unwanted && !how.lease_over && unheard)
    over_now.late = fmt::format("could not be restored from checkpoint {}: {}", over_now.restores->name,
                                over_now.late.empty() ? how.reason : over_now.late);
  if (!over_now.late.empty())
    how = ended{.code = 125, .reason = over_now.late, .cpu_usec = how.cpu_usec};
  const auto begun = how.code != 125 && !how.lease_over;
  if (over_now.started && !begun)
    return over_now.started(never_begun(how));
  // It was over before anybody had spoken with it.
  if (over_now.started)
    over_now.begun(-1)();
  if (over_now.end)
    (*over_now.end)(how);
}

void machines::signal(const std::string& name, int number, then<> done) {
  const auto process = directory(name).container();
  if (number == SIGKILL || number == SIGTERM) {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end())
      found->second.unwanted = true;
  }
  if (!process)
    return done(trouble{fault::not_found, name + " does not run"});
  auto absent = departs(name);
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    absent = absent || (found != held_.end() && found->second.what.move().arrives());
  }
  // Its guest is not here, or no longer: it must not go on to say goodbye.
  if (absent && number == SIGTERM)
    number = SIGKILL;
  const auto channel = channel_of(name);
  const auto control = control_of(name);
  const auto reachable = channel && channel->up();
  if (number == SIGKILL || (number == SIGTERM && !reachable && (channel || !control))) {
    signal_process(*process, SIGKILL);
    return done(nothing{});
  }
  // A machine that stands still cannot act on anything.
  if (control && number == SIGTERM)
    control->pause(false, [](outcome<>) {});
  if (number == SIGTERM && !reachable)
    return control->press_power(std::move(done));
  if (!reachable)
    return done(trouble{fault::unsupported, "the guest of " + name + " cannot be given a signal"});
  if (number == SIGTERM)
    channel->send({"stop"});
  else
    channel->send({"signal", std::to_string(number)});
  done(nothing{});
}

void machines::resize(const std::string& name, const wire::Resources& to, then<> done) {
  const auto control = control_of(name);
  auto spec = wire::WorkloadSpec{};
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end())
      spec = found->second.what.spec();
  }
  const auto is_vm = spec.kind() == wire::WORKLOAD_KIND_VM;
  if (to.memory_bytes() > 0 && (!is_vm || !control || to.memory_bytes() > machine_memory(spec)))
    return done(trouble{fault::unsupported, "the memory of a sandbox is fixed, and a virtual machine never gets more "
                                            "than it started with"});
  runs_.answer<nothing>(
      [done = std::move(done), control, to](outcome<> limited) {
        if (!limited || to.memory_bytes() == 0)
          return done(std::move(limited));
        control->give_memory(to.memory_bytes(), done);
      },
      [=, this] {
        places_.group(name).limit(to.cpu_milli(), 0);
        return nothing{};
      });
}

void machines::probe(const std::string& name, const wire::HealthCheck& check, then<> done) {
  const auto reach = [&](probe_target& target) {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found != held_.end() && found->second.address)
      target.address = to_string(*found->second.address);
    // A relayed network can be reached only through the ports that lead into it.
    else if (found != held_.end())
      for (const auto& port : found->second.what.spec().network().ports())
        if (port.inside() == check.port() && port.host() > 0)
          target.port = static_cast<std::uint16_t>(port.host());
  };
  probe_instance(runs_.loop(), *this, name, check, reach, std::move(done));
}

outcome<> machines::remove(const std::string& name) {
  return places_.remove(name, [&] {
    images_.tidy();
    auto left = std::optional<held_machine>{};
    {
      const auto lock = std::lock_guard{guard_};
      if (const auto found = held_.find(name); found != held_.end()) {
        left = std::move(found->second);
        held_.erase(found);
      }
    }
    if (left && left->address && settings_.networks)
      settings_.networks->give_back(*left->address);
  });
}

std::vector<leftover> machines::sweep() {
  return places_.sweep([&](const leftover& each) {
    const auto& name = each.instance.name();
    const auto address = host::parse_ipv4(each.status.address(), 22);
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[name];
    x.what = each.instance;
    x.image.whole_disk = !fs::exists(directory(name).path() / machine_box_file);
    x.resumes =
        each.alive && each.status.phase() != wire::PHASE_PAUSED && !each.instance.move().arrives() && !departs(name);
    // It may not have learned yet who it is.
    if (each.alive)
      x.restores = planted_in(directory(name).path());
    if (settings_.networks && address) {
      settings_.networks->claim(*address);
      x.address = address;
    }
  });
}

void machines::take_over(const std::string& name, const then<running>& done, const over& end) {
  auto run = std::uint64_t{0};
  {
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[name];
    x.expect(done, end);
    run = ++x.run;
  }
  runs_.take_over(name, [=, this] {
    connect(name);
    // One that stands still cannot answer, and runs all the same.
    came_up(name, run);
  });
}

std::shared_ptr<machine_driver> make_machine_driver(machine_settings settings) {
  return std::make_shared<machines>(std::move(settings));
}

} // namespace novacron::workload
