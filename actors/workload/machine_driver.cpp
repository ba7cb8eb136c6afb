#include "actors/workload/machine_driver.hpp"

#include "actors/host/cgroup.hpp"
#include "actors/host/crew.hpp"
#include "actors/host/files.hpp"
#include "actors/host/loop.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/bundle.hpp"
#include "actors/workload/guest_channel.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/lease.hpp"
#include "actors/workload/machine_files.hpp"
#include "actors/workload/machine_images.hpp"
#include "actors/workload/machine_plan.hpp"
#include "actors/workload/output_watch.hpp"
#include "actors/workload/probe.hpp"
#include "actors/workload/shim_launch.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Between attempts to reach a monitor that does not listen yet.
constexpr auto retry_delay = 10ms;
constexpr auto files_max = std::uint64_t{65'536};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void send_to(const process_name& whom, int number) {
  if (const auto fd = open_process(whom)) {
    ::syscall(SYS_pidfd_send_signal, *fd, number, nullptr, 0);
    ::close(*fd);
  }
}

/// What is known of a machine that this driver has in its hands.
struct held {
  wire::Instance what;
  machine_image image;
  process_arguments process;
  process_user user;
  int stop_signal = SIGTERM;
  std::optional<host::ipv4> address;
  host::network network;
  std::shared_ptr<driver::over> end;
  then<running> started;
  /// Rises with each run, so that the timers of an earlier one are known.
  std::uint64_t run = 0;
  /// Why it was killed before it came up; empty unless it was.
  std::string late;
  std::shared_ptr<machine_control> control;
  std::shared_ptr<guest_channel> channel;
};

class machines final : public driver {
public:
  explicit machines(machine_settings settings)
      : settings_{std::move(settings)}, images_{settings_.data, settings_.guest} {
    ::signal(SIGPIPE, SIG_IGN);
    fs::create_directories(settings_.data / "machines");
    settings_.data = fs::canonical(settings_.data);
    tag_ = machine_tag((settings_.data / "machines").string());
    layout_ = host::find_cgroups();
  }

  /// Leaves no empty groups; those of machines that run on are not empty.
  ~machines() override {
    auto closed = std::vector<held>{};
    {
      const auto lock = std::lock_guard{guard_};
      closing_ = true;
      for (auto& [name, each] : held_)
        closed.push_back(std::move(each));
      held_.clear();
    }
    closed.clear();
    // Each gives the other work.
    crew_.end();
    loop_.end();
    for (const auto& group : layout_.groups(fmt::format("/novacron/{:08x}", tag_)))
      ::rmdir(group.c_str());
  }

  std::vector<leftover> sweep() override;
  void prepare(const wire::Instance& what, const image_root& image, then<> done) override {
    answer<nothing>(std::move(done), [=, this] { return lay_out(what, image); });
  }
  void start(const std::string& name, then<running> done, over end) override {
    crew_.give([=, this] { launch(name, done, end); });
  }
  void adopt(const std::string& name, then<running> done, over end) override {
    crew_.give([=, this] { take_over(name, done, end); });
  }
  void signal(const std::string& name, int number, then<> done) override;
  void pause(const std::string& name, bool paused, then<> done) override {
    if (const auto control = control_of(name))
      return control->pause(paused, std::move(done));
    done(trouble{fault::unreachable, "the monitor of " + name + " does not answer"});
  }
  void resize(const std::string& name, const wire::Resources& to, then<> done) override;
  void stats(const std::string& name, then<usage> done) override {
    answer<usage>(std::move(done), [=, this] {
      const auto seen = group(name).usage();
      return usage{seen.cpu_usec, seen.memory_bytes};
    });
  }
  void exec(const std::string& name, const exec_order& what, then<std::shared_ptr<exec_process>> done) override {
    if (const auto channel = channel_of(name))
      return channel->exec(what, std::move(done));
    done(trouble{fault::unsupported,
                 name + " boots a disk of its own: there is no agent in it that could run something"});
  }
  void probe(const std::string& name, const wire::HealthCheck& check, then<> done) override;
  void remember(const std::string& name, const wire::InstanceStatus& status) override {
    auto error = std::error_code{};
    if (fs::exists(directory(name).path(), error))
      directory(name).write(status);
  }
  fs::path logs(const std::string& name) const override { return directory(name).log(); }
  std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what) override {
    return output_.add(directory(name).log(), std::move(what));
  }
  void destroy(const std::string& name, then<> done) override {
    answer<nothing>(std::move(done), [=, this] { return remove(name); });
  }

private:
  outcome<> lay_out(const wire::Instance& what, const image_root& image);
  machine_link link_for(held& x, shim_order& order);
  void write_orders(const held& x, const machine_link& link);
  void make_group(const wire::WorkloadSpec& spec, const std::string& name);
  void launch(const std::string& name, const then<running>& done, const over& end);
  void take_over(const std::string& name, const then<running>& done, const over& end);
  void connect(const std::string& name);
  void reach_monitor(const std::string& name, std::uint64_t run);
  void came_up(const std::string& name, std::uint64_t run);
  void give_up(const std::string& name, std::uint64_t run);
  void shim_ended(const std::string& name);
  void conclude(const std::string& name);
  outcome<> remove(const std::string& name);
  bool alive(const instance_directory& place) const;
  void kill_unknown(const instance_directory& place) const;

  instance_directory directory(const std::string& name) const {
    return instance_directory{settings_.data / "machines" / name};
  }
  std::string group_path(const std::string& name) const { return fmt::format("/novacron/{:08x}/{}", tag_, name); }
  host::cgroup group(const std::string& name) const { return {layout_, group_path(name)}; }

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
    });
    return facts_;
  }

  /// Runs `work` on a worker thread and answers with what it returns or throws.
  template <class T, class Work>
  void answer(then<T> done, Work work) {
    crew_.give([done = std::move(done), work = std::move(work)] {
      try {
        done(outcome<T>{work()});
      } catch (const std::system_error& problem) {
        const auto full = problem.code().value() == ENOSPC || problem.code().value() == EIO;
        done(trouble{full ? fault::storage : fault::unspecified, problem.what()});
      } catch (const std::exception& problem) {
        done(trouble{fault::unspecified, problem.what()});
      }
    });
  }

  machine_settings settings_;
  machine_images images_;
  std::uint32_t tag_ = 0;
  host::cgroup_layout layout_;
  shim_launch shim_;
  std::once_flag asked_;
  machine_host facts_;
  std::mutex guard_;
  std::map<std::string, held> held_;
  bool closing_ = false;
  host::loop loop_;
  output_watch output_{loop_};
  host::crew crew_{2};
};

outcome<> machines::lay_out(const wire::Instance& what, const image_root& image) {
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
    return trouble{fault::unsupported, "there is no kernel for guests here (share/guest/prepare makes one)"};
  const auto user = whole ? process_user{} : user_in(image.root, process.user).value_or(process_user{});
  const auto place = directory(name);
  place.lay_out();
  place.write(what);
  images_.make_root(place.path(), image, whole, spec.resources().disk_bytes());
  const auto lock = std::lock_guard{guard_};
  auto& x = held_[name];
  x.what = what;
  x.image = kind;
  x.process = process;
  x.user = user;
  x.stop_signal = stop_signal_of(image.config);
  return nothing{};
}

/// Decides the network of a start.
machine_link machines::link_for(held& x, shim_order& order) {
  const auto& wanted = x.what.spec().network();
  order.mode = "host";
  if (wanted.mode() == "none")
    return {};
  if (!settings_.networks) {
    order.relays = true;
    return relayed_link();
  }
  x.network = settings_.networks->attach(x.address);
  x.address = x.network.address;
  order.link = x.network.fd;
  order.address = to_string(*x.address);
  for (const auto& port : wanted.ports())
    if (port.host() > 0)
      order.ports.emplace_back(port.host(), port.inside());
  return {machine_network::kind::bridged, x.network.address, settings_.networks->gateway(), host::find_resolver()};
}

/// Everything that its process and its guest read.
void machines::write_orders(const held& x, const machine_link& link) {
  const auto place = directory(x.what.name()).path();
  const auto& facts = host_facts();
  const auto plan = plan_machine(x.what, facts, x.image, link);
  if (!x.image.whole_disk)
    host::replace_file(place / machine_box_file,
                       box_content(x.what, x.process, x.user, facts, link, x.stop_signal, files_max));
  for (const auto& disk : plan.disks)
    if (disk.file == machine_seed_file)
      make_seed(seed_files(x.what, link), place / machine_seed_file);
  const auto command = settings_.monitor->command(plan);
  auto words = std::string{};
  for (const auto& each : command.words)
    words += each + '\0';
  host::replace_file(place / "machine", words);
  host::replace_file(place / "end", command.end_words);
  for (const auto* old : {machine_outcome_file, machine_control_socket, "monitor.sock", "end.sock"})
    ::unlink((place / old).c_str());
}

void machines::make_group(const wire::WorkloadSpec& spec, const std::string& name) {
  const auto made = group(name);
  static_cast<void>(made.destroy());
  made.create();
  if (layout_.controls("memory"))
    made.limit(0, machine_memory_limit(spec));
  if (layout_.controls("cpu"))
    made.limit(spec.resources().cpu_milli(), 0);
}

void machines::launch(const std::string& name, const then<running>& done, const over& end) {
  const auto place = directory(name);
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
                            .log_segments = settings_.log_segments,
                            .machine = "machine"};
    order.lease = lease_file(settings_.data);
    auto now = held{};
    {
      const auto lock = std::lock_guard{guard_};
      auto& x = held_.at(name);
      now.what = x.what;
      now.image = x.image;
      now.process = x.process;
      now.user = x.user;
      now.stop_signal = x.stop_signal;
      now.address = x.address;
    }
    const auto link = link_for(now, order);
    write_orders(now, link);
    make_group(now.what.spec(), name);
    for (const auto& each : layout_.groups(group_path(name)))
      order.cgroups.push_back(each);
    order.patience_ms = static_cast<std::uint64_t>(patience_of(now.what.spec()).count());
    order.grace_ms = static_cast<std::uint64_t>(grace_of(now.what.spec()).count());
    {
      const auto lock = std::lock_guard{guard_};
      auto& x = held_.at(name);
      x.address = now.address;
      x.end = std::make_shared<over>(end);
      x.started = done;
      x.late.clear();
      ++x.run;
    }
    const auto child = shim_.start(order);
    ::close(*lock_fd);
    output_.once(place.path(), "container", [=, this] { connect(name); });
    host::when_ended(loop_, child, [=, this](host::ending) { shim_ended(name); });
  } catch (const std::exception& problem) {
    if (lock_fd)
      ::close(*lock_fd);
    done(trouble{fault::unspecified, problem.what()});
  }
}

/// Its process is there: reaches for its monitor and for the agent in its guest.
void machines::connect(const std::string& name) {
  auto run = std::uint64_t{0};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (closing_ || found == held_.end() || found->second.control || found->second.channel)
      return;
    run = found->second.run;
    if (!found->second.image.whole_disk)
      found->second.channel =
          open_guest_channel(loop_, directory(name).path(), machine_control_socket, [=, this] { came_up(name, run); });
  }
  reach_monitor(name, run);
  loop_.after(settings_.up_patience, [=, this] { give_up(name, run); });
}

void machines::reach_monitor(const std::string& name, std::uint64_t run) {
  settings_.monitor->open(loop_, directory(name).path(), [=, this](outcome<std::shared_ptr<machine_control>> x) {
    auto whole = false;
    {
      const auto lock = std::lock_guard{guard_};
      const auto found = held_.find(name);
      if (closing_ || found == held_.end() || found->second.run != run)
        return;
      whole = found->second.image.whole_disk;
      if (x)
        found->second.control = *x;
    }
    if (!x)
      loop_.after(retry_delay, [=, this] { reach_monitor(name, run); });
    else if (whole)
      came_up(name, run);
  });
}

void machines::came_up(const std::string& name, std::uint64_t run) {
  const auto process = directory(name).container();
  auto done = then<running>{};
  auto now = running{.pid = process ? process->pid : -1, .started_ms = now_ms()};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found == held_.end() || found->second.run != run)
      return;
    done = std::exchange(found->second.started, nullptr);
    if (found->second.address)
      now.address = to_string(*found->second.address);
  }
  if (done)
    done(now);
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
    send_to(*process, SIGKILL);
}

void machines::shim_ended(const std::string& name) {
  output_.forget(directory(name).path());
  crew_.give([=, this] { conclude(name); });
}

/// A run is over: its shim has ended. What it left undone (it was killed) is done now.
void machines::conclude(const std::string& name) {
  const auto place = directory(name);
  auto how = place.how_ended();
  if (!how) {
    how = ended{.code = 137, .reason = "its shim was killed, and it with it"};
    kill_unknown(place);
  }
  auto over_now = held{};
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
  }
  if (!over_now.late.empty())
    how = ended{.code = 125, .reason = over_now.late, .cpu_usec = how->cpu_usec};
  const auto begun = how->code != 125 && !how->lease_over;
  if (over_now.started && !begun)
    return over_now.started(trouble{how->lease_over ? fault::unreachable : fault::unspecified, how->reason});
  // It was over before anybody had spoken with it.
  if (over_now.started)
    over_now.started(running{.started_ms = now_ms()});
  if (over_now.end)
    (*over_now.end)(*how);
}

void machines::signal(const std::string& name, int number, then<> done) {
  const auto process = directory(name).container();
  if (!process)
    return done(trouble{fault::not_found, name + " does not run"});
  const auto channel = channel_of(name);
  const auto control = control_of(name);
  const auto reachable = channel && channel->up();
  if (number == SIGKILL || (number == SIGTERM && !reachable && (channel || !control))) {
    send_to(*process, SIGKILL);
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
  answer<nothing>(
      [done = std::move(done), control, to](outcome<> limited) {
        if (!limited || to.memory_bytes() == 0)
          return done(std::move(limited));
        control->give_memory(to.memory_bytes(), done);
      },
      [=, this] {
        group(name).limit(to.cpu_milli(), 0);
        return nothing{};
      });
}

void machines::probe(const std::string& name, const wire::HealthCheck& check, then<> done) {
  const auto limit = std::chrono::milliseconds{check.timeout_ms() > 0 ? check.timeout_ms() : 1000};
  if (!check.command().empty()) {
    const auto order = exec_order{.command = {check.command().begin(), check.command().end()}};
    return exec(name, order, [this, limit, done = std::move(done)](outcome<std::shared_ptr<exec_process>> begun) {
      if (!begun)
        return done(begun.why());
      probe_process(loop_, *begun, limit, done);
    });
  }
  auto target = probe_target{.address = "127.0.0.1",
                             .port = static_cast<std::uint16_t>(check.port()),
                             .http_path = check.http_path(),
                             .timeout = limit};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found != held_.end() && found->second.address)
      target.address = to_string(*found->second.address);
    // A relayed network can be reached only through the ports that lead into it.
    else if (found != held_.end())
      for (const auto& port : found->second.what.spec().network().ports())
        if (port.inside() == check.port() && port.host() > 0)
          target.port = static_cast<std::uint16_t>(port.host());
  }
  workload::probe(loop_, target, std::move(done));
}

outcome<> machines::remove(const std::string& name) {
  const auto place = directory(name);
  if (!fs::exists(place.path()))
    return nothing{};
  const auto lock_fd = place.lock();
  if (!lock_fd)
    return trouble{fault::conflict, name + " still runs"};
  const auto gone = group(name).destroy();
  place.remove();
  ::close(*lock_fd);
  images_.tidy();
  auto left = std::optional<held>{};
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end()) {
      left = std::move(found->second);
      held_.erase(found);
    }
  }
  if (left && left->address && settings_.networks)
    settings_.networks->give_back(*left->address);
  if (!gone)
    return trouble{fault::unspecified, "processes of " + name + " would not end"};
  return nothing{};
}

/// Whether a shim holds the instance. One that was just started may not yet have written its name.
bool machines::alive(const instance_directory& place) const {
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

void machines::kill_unknown(const instance_directory& place) const {
  for (const auto& known : {place.container(), place.shim()})
    if (known)
      send_to(*known, SIGKILL);
  static_cast<void>(group(place.path().filename()).destroy());
}

std::vector<leftover> machines::sweep() {
  auto found = std::vector<leftover>{};
  auto kept = std::vector<std::string>{};
  for (const auto& entry : fs::directory_iterator{settings_.data / "machines"}) {
    const auto place = instance_directory{entry.path()};
    const auto what = place.instance();
    if (!what) {
      kill_unknown(place);
      place.remove();
      continue;
    }
    auto each = leftover{.instance = *what, .status = place.status(), .alive = alive(place)};
    if (each.alive)
      kept.push_back(what->name());
    else {
      each.how = place.how_ended();
      kill_unknown(place);
    }
    const auto address = host::parse_ipv4(each.status.address(), 22);
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[what->name()];
    x.what = *what;
    x.image.whole_disk = !fs::exists(place.path() / machine_box_file);
    if (settings_.networks && address) {
      settings_.networks->claim(*address);
      x.address = address;
    }
    found.push_back(std::move(each));
  }
  for (const auto& name : host::cgroup{layout_, fmt::format("/novacron/{:08x}", tag_)}.children())
    if (std::ranges::find(kept, name) == kept.end())
      static_cast<void>(group(name).destroy());
  return found;
}

void machines::take_over(const std::string& name, const then<running>& done, const over& end) {
  const auto place = directory(name);
  const auto shim = place.shim();
  const auto fd = (shim ? open_process(*shim) : std::nullopt).value_or(-1);
  auto run = std::uint64_t{0};
  {
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[name];
    x.end = std::make_shared<over>(end);
    x.started = done;
    run = ++x.run;
  }
  if (fd < 0)
    return shim_ended(name);
  output_.once(place.path(), "container", [=, this] {
    connect(name);
    // One that stands still cannot answer, and runs all the same.
    came_up(name, run);
  });
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

} // namespace

std::shared_ptr<driver> make_machine_driver(machine_settings settings) {
  return std::make_shared<machines>(std::move(settings));
}

} // namespace novacron::workload
