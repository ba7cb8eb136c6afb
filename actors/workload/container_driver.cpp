#include "actors/workload/container_driver.hpp"

#include "actors/host/cgroup.hpp"
#include "actors/host/files.hpp"
#include "actors/host/networks.hpp"
#include "actors/host/process.hpp"
#include "actors/host/resolver.hpp"
#include "actors/workload/bundle.hpp"
#include "actors/workload/exec_session.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/instance_places.hpp"
#include "actors/workload/probe.hpp"
#include "actors/workload/shim_runs.hpp"
#include "actors/workload/usher_program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
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

/// Chosen: a process that waits for a disk is frozen when that has answered.
constexpr auto hold_patience = 10s;

/// What Docker gives, unless we may not have that many ourselves.
std::uint64_t open_files_max() {
  auto limit = rlimit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min<std::uint64_t>(limit.rlim_max, 65536) : 1024;
}

struct overlay_trial {
  bool works = false;
  /// Why the disk itself could not be tried.
  std::error_code problem;
};

/// Tries an overlay in a mount namespace of a thread that ends with it. A disk that is full cannot be tried: memory, in
/// its place, shows what the kernel lets us do. Instances whose roots are overlays need no room to start again.
overlay_trial try_overlay(const fs::path& scratch) {
  auto trial = overlay_trial{};
  const auto top = scratch / "overlay-probe";
  const auto lay_out = [&] {
    auto problem = std::error_code{};
    for (const auto* part : {"lower", "upper", "work", "root"})
      if (!problem)
        fs::create_directories(top / part, problem);
    return problem;
  };
  std::thread{[&] {
    const auto apart = ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0;
    trial.problem = lay_out();
    if (!apart || (trial.problem && (::mount("tmpfs", scratch.c_str(), "tmpfs", 0, "size=1m") != 0 || lay_out())))
      return;
    const auto options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", top.string());
    trial.works = ::mount("overlay", (top / "root").c_str(), "overlay", 0, options.c_str()) == 0;
  }}.join();
  auto error = std::error_code{};
  fs::remove_all(top, error);
  return trial;
}

/// Anew for each start: the host may be on another network by now.
void write_network_files(const instance_directory& place, const shim_order& order) {
  if (order.mode == "host")
    return;
  fs::create_directories(place.network_files());
  const auto write = [&](const char* name, const std::string& text) {
    const auto file = place.network_files() / name;
    host::replace_file(file, text);
    // Everybody inside reads it, not only root.
    fs::permissions(file, fs::perms{0644});
  };
  write("hosts", hosts_file(order.id, order.address));
  if (order.mode != "none")
    write("resolv.conf", to_text(host::find_resolver()));
}

/// What is known of an instance that this driver has in its hands.
struct held : held_instance {
  /// The overlay's lower directory; empty when the root is a copy.
  std::string lower;
};

/// Makes the directories, and names the node's one as nobody else can.
container_settings on_disk(container_settings settings) {
  fs::create_directories(settings.data / "instances");
  fs::create_directories(settings.data / "agent");
  settings.data = fs::canonical(settings.data);
  return settings;
}

class crun_driver final : public container_driver {
public:
  explicit crun_driver(container_settings settings) : settings_{on_disk(std::move(settings))} { examine(); }

  container_abilities abilities() const override { return abilities_; }
  std::shared_ptr<host::networks> networks() const override { return networks_; }

  std::vector<leftover> sweep() override;
  void prepare(const wire::Instance& what, const image_root& image, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] { return lay_out(what, image); });
  }
  void start(const std::string& name, then<running> done, over end) override {
    runs_.give([=, this] { launch(name, done, end); });
  }
  void adopt(const std::string& name, then<running> done, over end) override {
    runs_.give([=, this] { take_over(name, done, end); });
  }
  void signal(const std::string& name, int number, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] { return send_signal(name, number); });
  }
  void pause(const std::string& name, bool paused, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] {
      group(name).freeze(paused);
      return nothing{};
    });
  }
  void resize(const std::string& name, const wire::Resources& to, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] {
      group(name).limit(to.cpu_milli(), to.memory_bytes());
      // The next start of this instance has the new limits too.
      const auto config = directory(name).config();
      host::replace_file(config, resize_config(host::read_file(config).value_or(""), to));
      return nothing{};
    });
  }
  void stats(const std::string& name, then<usage> done) override { runs_.stats(name, std::move(done)); }
  void exec(const std::string& name, const exec_order& what, then<std::shared_ptr<exec_process>> done) override {
    runs_.answer<std::shared_ptr<exec_process>>(std::move(done), [=, this] { return exec_now(name, what); });
  }
  void serve(const std::string& name, then<std::shared_ptr<exec_process>> done) override {
    runs_.answer<std::shared_ptr<exec_process>>(std::move(done), [=, this] { return serve_now(name); });
  }
  void probe(const std::string& name, const wire::HealthCheck& check, then<> done) override;
  void remember(const std::string& name, const wire::InstanceStatus& status) override {
    places_.remember(name, status);
  }
  fs::path logs(const std::string& name) const override { return directory(name).log(); }
  std::shared_ptr<void> when_output(const std::string& name, std::function<void()> what) override {
    return runs_.when_output(name, std::move(what));
  }
  void destroy(const std::string& name, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] { return remove(name); });
  }

  outcome<> examine(const wire::Instance& what, const image_root& image) override;
  void hold(const std::string& name, bool held, then<> done) override {
    runs_.answer<nothing>(std::move(done), [=, this] { return hold_now(name, held); });
  }
  outcome<> copy_files(const std::string& name, const fs::path& into) override;
  fs::path place(const std::string& name) const override { return directory(name).path(); }
  fs::path files_place(const std::string& name) const override { return directory(name).root(); }

private:
  void examine();
  void open_networks();
  outcome<> lay_out(const wire::Instance& what, const image_root& image);
  std::string address_for(held& x, shim_order& order);
  void launch(const std::string& name, const then<running>& done, const over& end);
  void take_over(const std::string& name, const then<running>& done, const over& end);
  void await_start(const std::string& name);
  void conclude(const std::string& name, const ended& how);
  outcome<> hold_now(const std::string& name, bool held);
  outcome<> send_signal(const std::string& name, int number);
  outcome<std::shared_ptr<exec_process>> exec_now(const std::string& name, const exec_order& what);
  outcome<std::shared_ptr<exec_process>> serve_now(const std::string& name);
  outcome<> remove(const std::string& name);
  std::string usher() const;

  instance_directory directory(const std::string& name) const { return places_.directory(name); }
  std::string group_path(const std::string& name) const { return places_.group_path(name); }
  host::cgroup group(const std::string& name) const { return places_.group(name); }
  /// crun with the options that all its commands need.
  std::vector<std::string> crun(const std::string& name) const {
    auto words = runs_.shim().inside(layout_.beside.string());
    words.insert(words.end(), {settings_.crun, "--root", directory(name).crun().string(), "--cgroup-manager=cgroupfs"});
    return words;
  }

  const container_settings settings_;
  /// Nodes on one machine are told apart by their data directories.
  const std::uint32_t tag_ = place_tag(settings_.data);
  const host::cgroup_layout layout_ = host::find_cgroups();
  const instance_places places_{settings_.data / "instances", tag_, layout_};
  container_abilities abilities_;
  std::mutex guard_;
  std::map<std::string, held> held_;
  std::atomic<std::uint64_t> sessions_{0};
  std::shared_ptr<host::networks> networks_;
  /// The last, so that it ends first: its threads use all of the above.
  shim_runs runs_{places_,
                  {settings_.data, settings_.log_segment_bytes, settings_.log_segments},
                  [this](const std::string& name, const ended& how) { conclude(name, how); }};
};

void crun_driver::examine() {
  abilities_.cgroups = layout_.text();
  abilities_.limits = true;
  for (const auto* controller : {"cpu", "memory", "pids", "freezer"})
    if (!layout_.controls(controller)) {
      abilities_.limits = false;
      abilities_.missing.push_back(std::string{"control groups cannot limit "} + controller);
    }
  const auto overlay = try_overlay(settings_.data / "agent");
  abilities_.overlay = overlay.works;
  if (overlay.problem)
    abilities_.missing.push_back("the overlay file system could not be tried: " + overlay.problem.message());
  if (!abilities_.overlay)
    abilities_.missing.emplace_back("no overlay file system: each instance gets a copy of its image");
  try {
    if (host::run({.argv = {settings_.crun, "--version"}}).how.code != 0)
      abilities_.missing.push_back(settings_.crun + " does not work: no container can run");
  } catch (const std::system_error&) {
    abilities_.missing.push_back(settings_.crun + " is not installed: no container can run");
  }
  try {
    open_networks();
    abilities_.bridge = true;
  } catch (const std::system_error& problem) {
    abilities_.missing.push_back(std::string{"no bridge: "} + problem.what());
  }
  try {
    if (networks_)
      settings_.masquerade ? networks_->open_way_out() : networks_->close_way_out();
  } catch (const std::system_error& problem) {
    // Where rules cannot be taken away there are none of ours.
    if (settings_.masquerade)
      abilities_.missing.push_back(std::string{"containers on the bridge reach nothing beyond this host: "} +
                                 problem.what());
  }
}

/// The range is chosen once and kept, so that addresses stay what they are over restarts.
void crun_driver::open_networks() {
  const auto file = settings_.data / "agent" / "network";
  auto base = host::parse_ipv4(host::read_file(file).value_or(""), 22);
  if (!base) {
    base = host::address_range::choose(tag_, host::netlink{}.addresses());
    host::replace_file(file, to_string(*base));
  }
  networks_ = std::make_shared<host::networks>(tag_, *base, settings_.networks_ready);
}

outcome<> crun_driver::examine(const wire::Instance& what, const image_root& image) {
  const auto& name = what.name();
  const auto function = what.spec().kind() == wire::WORKLOAD_KIND_FUNCTION;
  if (!function && what.spec().kind() != wire::WORKLOAD_KIND_CONTAINER &&
      what.spec().kind() != wire::WORKLOAD_KIND_BATCH)
    return trouble{fault::unsupported, "this node runs containers, functions and batch jobs only"};
  if (!is_instance_name(name))
    return trouble{fault::bad_request, "\"" + name + "\" is no name for an instance"};
  const auto process = arguments_for(what, image.config, what.node());
  if (const auto refusal = refuse_container(what.spec(), process, settings_.mountable); !refusal.empty())
    return trouble{fault::bad_request, refusal};
  const auto& wanted = what.spec().resources();
  for (const auto& [controller, asked] : {std::pair{"cpu", wanted.cpu_milli()}, {"memory", wanted.memory_bytes()}})
    if (asked > 0 && !layout_.controls(controller))
      return trouble{fault::unsupported, std::string{"this host cannot limit "} + controller};
  if (!user_in(image.root, process.user))
    return trouble{fault::bad_request, "the image has no user \"" + process.user + "\""};
  return nothing{};
}

outcome<> crun_driver::lay_out(const wire::Instance& what, const image_root& image) {
  if (auto good = examine(what, image); !good)
    return good;
  const auto& name = what.name();
  const auto function = what.spec().kind() == wire::WORKLOAD_KIND_FUNCTION;
  const auto process = arguments_for(what, image.config, what.node());
  const auto user = user_in(image.root, process.user);
  const auto place = directory(name);
  place.lay_out();
  place.write(what);
  // What has a copy keeps it, whatever this node can do by now: an overlay would hide what was written there.
  const auto overlay = abilities_.overlay && fs::is_empty(place.root());
  if (!overlay)
    if (auto copied = place.copy_image(image.root); !copied)
      return copied;
  const auto options = bundle_options{.root = place.root(),
                                      .hostname = name,
                                      .cgroup_path = group_path(name),
                                      .user = *user,
                                      .pids_max = settings_.pids_max,
                                      .host_network = what.spec().network().mode() == "host",
                                      .network_files = place.network_files(),
                                      .stop_signal = function ? SIGTERM : stop_signal_of(image.config),
                                      .usher = function ? usher() : std::string{},
                                      .files_max = open_files_max()};
  const auto config =
      bundle_config(what.spec(), function ? ushered(process, what.spec().function()) : process, options);
  host::replace_file(place.config(), config);
  if (function)
    host::replace_file(place.lane(), lane_process(config));
  const auto lock = std::lock_guard{guard_};
  auto& x = held_[name];
  x.what = what;
  x.lower = overlay ? fs::canonical(image.root).string() : "";
  return nothing{};
}

outcome<> crun_driver::hold_now(const std::string& name, bool held) {
  group(name).freeze(held);
  const auto deadline = std::chrono::steady_clock::now() + hold_patience;
  while (held && !group(name).frozen()) {
    if (std::chrono::steady_clock::now() > deadline) {
      group(name).thaw();
      return trouble{fault::timeout, "a process of " + name + " cannot be frozen: it waits for the kernel"};
    }
    std::this_thread::sleep_for(1ms);
  }
  return nothing{};
}

/// As its own processes see them: whatever the root is made of. What is mounted into it is not copied.
outcome<> crun_driver::copy_files(const std::string& name, const fs::path& into) {
  const auto container = directory(name).container();
  const auto alive = container ? open_process(*container) : std::nullopt;
  if (!alive)
    return trouble{fault::not_found, name + " does not run"};
  const auto from = fmt::format("/proc/{}/root/.", container->pid);
  const auto copied = host::run({.argv = {"cp", "-ax", "--reflink=auto", from, into.string()}}, 20min);
  ::close(*alive);
  if (copied.how.code != 0)
    return trouble{fault::storage, "its files cannot be copied: " + copied.err};
  return nothing{};
}

/// The usher on this node's disk. It is replaced, never written to: what runs goes on with the one that it has.
std::string crun_driver::usher() const {
  const auto file = settings_.data / "agent" / "usher";
  const auto wanted = usher_program();
  if (host::read_file(file) != wanted) {
    host::replace_file(file, wanted);
    fs::permissions(file, fs::perms{0755});
  }
  return file.string();
}

/// Decides the network of a start; returns the instance's address.
std::string crun_driver::address_for(held& x, shim_order& order) {
  const auto& wanted = x.what.spec().network();
  order.mode = wanted.mode() == "host" || wanted.mode() == "none" ? wanted.mode() : "given";
  if (order.mode == "host")
    return "127.0.0.1";
  if (order.mode == "none")
    return {};
  if (!networks_)
    throw std::system_error{ENOTSUP, std::system_category(), "this host has no bridge"};
  if (x.network.fd < 0) {
    x.network = networks_->take(x.address);
    x.address = x.network.address;
  }
  order.network = x.network.fd;
  for (const auto& port : wanted.ports())
    if (port.host() > 0)
      order.ports.emplace_back(port.host(), port.inside());
  return to_string(x.network.address);
}

void crun_driver::launch(const std::string& name, const then<running>& done, const over& end) {
  const auto fill = [&](shim_order& order) {
    order.crun = settings_.crun;
    order.hide = layout_.beside;
    order.stop_signal = stop_signal_in(host::read_file(directory(name).config()).value_or(""));
    {
      const auto lock = std::lock_guard{guard_};
      auto& x = held_.at(name);
      order.lower = x.lower;
      limit_silence(order, x.what.spec());
      order.address = address_for(x, order);
      x.expect(done, end);
    }
    write_network_files(directory(name), order);
  };
  runs_.begin(name, done, fill, [=, this] { await_start(name); });
}

/// Answers the start as soon as the shim has written down the container's first process.
void crun_driver::await_start(const std::string& name) {
  const auto container = directory(name).container();
  if (!container)
    return;
  auto answer = std::function<void()>{};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found == held_.end())
      return;
    answer = found->second.begun(container->pid);
  }
  answer();
}

/// It may have begun and ended before anybody looked.
void crun_driver::conclude(const std::string& name, const ended& how) {
  await_start(name);
  auto started = then<running>{};
  auto end = std::shared_ptr<over>{};
  {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end()) {
      started = std::exchange(found->second.started, nullptr);
      end = std::exchange(found->second.end, nullptr);
    }
  }
  if (started)
    started(never_begun(how));
  else if (end)
    (*end)(how);
}

outcome<> crun_driver::send_signal(const std::string& name, int number) {
  const auto container = directory(name).container();
  const auto fd = container ? open_process(*container) : std::nullopt;
  if (!fd)
    return trouble{fault::not_found, name + " does not run"};
  // The kernel hides from the first process of a pid namespace every signal that it has no handler for.
  const auto status = host::read_file("/proc/" + std::to_string(container->pid) + "/status").value_or("");
  const auto at = status.find("SigCgt:");
  const auto caught = at == status.npos ? 0 : std::stoull(status.substr(at + 7), nullptr, 16);
  if (number == SIGTERM) {
    number = stop_signal_in(host::read_file(directory(name).config()).value_or(""));
    if (number < 1 || number > 64 || (caught >> (number - 1) & 1) == 0)
      number = SIGKILL;
  }
  // What is frozen gets it before anything else when it goes on.
  if (number == SIGKILL)
    group(name).kill();
  const auto sent = ::syscall(SYS_pidfd_send_signal, *fd, number, nullptr, 0);
  const auto problem = errno;
  group(name).thaw();
  ::close(*fd);
  if (sent != 0 && problem != ESRCH)
    throw std::system_error{problem, std::system_category(), "cannot signal " + name};
  return nothing{};
}

outcome<std::shared_ptr<exec_process>> crun_driver::exec_now(const std::string& name, const exec_order& what) {
  const auto place = directory(name);
  if (const auto container = place.container(); !container || !open_process(*container))
    return trouble{fault::not_found, name + " does not run"};
  const auto config = host::read_file(place.config()).value_or("");
  auto order = what;
  // crun 1.8 takes the variables that it is given in place of the container's own, PATH among them.
  if (!order.env.empty())
    order.env.merge(environment_in(config));
  return start_exec(runs_.loop(), {.crun = crun(name),
                                   .container = name,
                                   .order = std::move(order),
                                   .user = owner_in(config),
                                   .scratch = settings_.data / "agent",
                                   .session = std::to_string(++sessions_)});
}

outcome<std::shared_ptr<exec_process>> crun_driver::serve_now(const std::string& name) {
  const auto place = directory(name);
  if (const auto container = place.container(); !container || !open_process(*container))
    return trouble{fault::not_found, name + " does not run"};
  if (!fs::exists(place.lane()))
    return trouble{fault::bad_request, name + " is no instance of a function"};
  return start_exec(runs_.loop(), {.crun = crun(name),
                                   .container = name,
                                   .order = {},
                                   .process = place.lane(),
                                   .scratch = settings_.data / "agent",
                                   .session = std::to_string(++sessions_)});
}

void crun_driver::probe(const std::string& name, const wire::HealthCheck& check, then<> done) {
  const auto reach = [&](probe_target& target) {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end() && found->second.address)
      target.address = to_string(*found->second.address);
  };
  probe_instance(runs_.loop(), *this, name, check, reach, std::move(done));
}

outcome<> crun_driver::remove(const std::string& name) {
  return places_.remove(name, [&] {
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end()) {
      const auto address = found->second.address;
      held_.erase(found);
      if (address)
        networks_->give_back(*address);
    }
  });
}

std::vector<leftover> crun_driver::sweep() {
  auto found = places_.sweep([&](const leftover& each) {
    const auto address = host::parse_ipv4(each.status.address(), 22);
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[each.instance.name()];
    x.what = each.instance;
    if (networks_ && address && each.instance.spec().network().mode() != "host") {
      networks_->claim(*address);
      x.address = address;
    }
  });
  if (networks_)
    networks_->begin();
  return found;
}

void crun_driver::take_over(const std::string& name, const then<running>& done, const over& end) {
  {
    const auto lock = std::lock_guard{guard_};
    held_[name].expect(done, end);
  }
  runs_.take_over(name, [=, this] { await_start(name); });
}

} // namespace

std::shared_ptr<container_driver> make_container_driver(container_settings settings) {
  return std::make_shared<crun_driver>(std::move(settings));
}

} // namespace novacron::workload
