#include "actors/workload/container_driver.hpp"

#include "actors/host/cgroup.hpp"
#include "actors/host/crew.hpp"
#include "actors/host/files.hpp"
#include "actors/host/loop.hpp"
#include "actors/host/networks.hpp"
#include "actors/host/process.hpp"
#include "actors/host/resolver.hpp"
#include "actors/workload/bundle.hpp"
#include "actors/workload/exec_session.hpp"
#include "actors/workload/instance_directory.hpp"
#include "actors/workload/lease.hpp"
#include "actors/workload/output_watch.hpp"
#include "actors/workload/probe.hpp"
#include "actors/workload/shim_launch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// FNV-1a: nodes on one machine are told apart by their data directories.
std::uint32_t tag_of(const std::string& text) {
  auto sum = 2166136261u;
  for (const unsigned char x : text)
    sum = (sum ^ x) * 16777619u;
  return sum;
}

/// What Docker gives, unless we may not have that many ourselves.
std::uint64_t open_files_max() {
  auto limit = rlimit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? std::min<std::uint64_t>(limit.rlim_max, 65536) : 1024;
}

/// Tries an overlay in a mount namespace of a thread that ends with it.
bool overlay_works(const fs::path& scratch) {
  auto works = false;
  const auto top = scratch / "overlay-probe";
  for (const auto* part : {"lower", "upper", "work", "root"})
    fs::create_directories(top / part);
  std::thread{[&] {
    const auto options = fmt::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", top.string());
    works = ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0 &&
            ::mount("overlay", (top / "root").c_str(), "overlay", 0, options.c_str()) == 0;
  }}.join();
  auto error = std::error_code{};
  fs::remove_all(top, error);
  return works;
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
struct held {
  wire::Instance what;
  /// The overlay's lower directory; empty when the root is a copy.
  std::string lower;
  std::optional<host::ipv4> address;
  host::network network;
  std::shared_ptr<driver::over> end;
  then<running> started;
};

class crun_driver final : public container_driver, public std::enable_shared_from_this<crun_driver> {
public:
  explicit crun_driver(container_settings settings) : settings_{std::move(settings)} {
    // A process that closes its input must not end us; children get the default back.
    ::signal(SIGPIPE, SIG_IGN);
    fs::create_directories(settings_.data / "instances");
    fs::create_directories(settings_.data / "agent");
    settings_.data = fs::canonical(settings_.data);
    tag_ = tag_of(settings_.data.string());
    layout_ = host::find_cgroups();
    examine();
  }

  /// Leaves no empty groups; those of containers that run on are not empty.
  ~crun_driver() override {
    // Each gives the other work.
    crew_.end();
    loop_.end();
    for (const auto& group : layout_.groups(fmt::format("/novacron/{:08x}", tag_)))
      ::rmdir(group.c_str());
  }

  container_abilities abilities() const override { return abilities_; }
  std::shared_ptr<host::networks> networks() const override { return networks_; }

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
  void signal(const std::string& name, int number, then<> done) override {
    answer<nothing>(std::move(done), [=, this] { return send_signal(name, number); });
  }
  void pause(const std::string& name, bool paused, then<> done) override {
    answer<nothing>(std::move(done), [=, this] {
      group(name).freeze(paused);
      return nothing{};
    });
  }
  void resize(const std::string& name, const wire::Resources& to, then<> done) override {
    answer<nothing>(std::move(done), [=, this] {
      group(name).limit(to.cpu_milli(), to.memory_bytes());
      // The next start of this instance has the new limits too.
      const auto config = directory(name).config();
      host::replace_file(config, resize_config(host::read_file(config).value_or(""), to));
      return nothing{};
    });
  }
  void stats(const std::string& name, then<usage> done) override {
    answer<usage>(std::move(done), [=, this] {
      const auto seen = group(name).usage();
      return usage{seen.cpu_usec, seen.memory_bytes};
    });
  }
  void exec(const std::string& name, const exec_order& what, then<std::shared_ptr<exec_process>> done) override {
    answer<std::shared_ptr<exec_process>>(std::move(done), [=, this] { return exec_now(name, what); });
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
  void examine();
  void open_networks();
  outcome<> lay_out(const wire::Instance& what, const image_root& image);
  std::string address_for(held& x, shim_order& order);
  void launch(const std::string& name, const then<running>& done, const over& end);
  void take_over(const std::string& name, const then<running>& done, const over& end);
  void await_start(const std::string& name);
  void shim_ended(const std::string& name);
  void conclude(const std::string& name);
  outcome<> send_signal(const std::string& name, int number);
  outcome<std::shared_ptr<exec_process>> exec_now(const std::string& name, const exec_order& what);
  outcome<> remove(const std::string& name);
  bool alive(const instance_directory& place) const;
  void kill_unknown(const instance_directory& place) const;

  instance_directory directory(const std::string& name) const {
    return instance_directory{settings_.data / "instances" / name};
  }
  std::string group_path(const std::string& name) const { return fmt::format("/novacron/{:08x}/{}", tag_, name); }
  host::cgroup group(const std::string& name) const { return {layout_, group_path(name)}; }
  /// crun with the options that all its commands need.
  std::vector<std::string> crun(const std::string& name) const {
    auto words = shim_.inside(layout_.beside.string());
    words.insert(words.end(), {settings_.crun, "--root", directory(name).crun().string(), "--cgroup-manager=cgroupfs"});
    return words;
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

  container_settings settings_;
  std::uint32_t tag_ = 0;
  host::cgroup_layout layout_;
  container_abilities abilities_;
  shim_launch shim_;
  std::mutex guard_;
  std::map<std::string, held> held_;
  std::atomic<std::uint64_t> sessions_{0};
  std::shared_ptr<host::networks> networks_;
  host::loop loop_;
  output_watch output_{loop_};
  host::crew crew_{2};
};

void crun_driver::examine() {
  abilities_.cgroups = layout_.text();
  abilities_.limits = true;
  for (const auto* controller : {"cpu", "memory", "pids", "freezer"})
    if (!layout_.controls(controller)) {
      abilities_.limits = false;
      abilities_.missing.push_back(std::string{"control groups cannot limit "} + controller);
    }
  abilities_.overlay = overlay_works(settings_.data / "agent");
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
    if (networks_ && settings_.masquerade)
      networks_->open_way_out();
  } catch (const std::system_error& problem) {
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

outcome<> crun_driver::lay_out(const wire::Instance& what, const image_root& image) {
  const auto& name = what.name();
  if (what.spec().kind() != wire::WORKLOAD_KIND_CONTAINER && what.spec().kind() != wire::WORKLOAD_KIND_BATCH)
    return trouble{fault::unsupported, "this node runs containers and batch jobs only"};
  if (!is_instance_name(name))
    return trouble{fault::bad_request, "\"" + name + "\" is no name for an instance"};
  const auto process = arguments_for(what, image.config, what.node());
  if (const auto refusal = refuse_container(what.spec(), process, settings_.mountable); !refusal.empty())
    return trouble{fault::bad_request, refusal};
  const auto& wanted = what.spec().resources();
  for (const auto& [controller, asked] : {std::pair{"cpu", wanted.cpu_milli()}, {"memory", wanted.memory_bytes()}})
    if (asked > 0 && !layout_.controls(controller))
      return trouble{fault::unsupported, std::string{"this host cannot limit "} + controller};
  const auto user = user_in(image.root, process.user);
  if (!user)
    return trouble{fault::bad_request, "the image has no user \"" + process.user + "\""};
  const auto place = directory(name);
  place.lay_out();
  place.write(what);
  if (!abilities_.overlay && fs::is_empty(place.root())) {
    const auto copied =
        host::run({.argv = {"cp", "-a", "--reflink=auto", image.root.string() + "/.", place.root()}}, 10min);
    if (copied.how.code != 0)
      return trouble{fault::storage, "cannot copy the image: " + copied.err};
  }
  const auto options = bundle_options{.root = place.root(),
                                      .hostname = name,
                                      .cgroup_path = group_path(name),
                                      .user = *user,
                                      .pids_max = settings_.pids_max,
                                      .host_network = what.spec().network().mode() == "host",
                                      .network_files = place.network_files(),
                                      .stop_signal = stop_signal_of(image.config),
                                      .files_max = open_files_max()};
  host::replace_file(place.config(), bundle_config(what.spec(), process, options));
  const auto lock = std::lock_guard{guard_};
  auto& x = held_[name];
  x.what = what;
  x.lower = abilities_.overlay ? fs::canonical(image.root).string() : "";
  return nothing{};
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
  const auto place = directory(name);
  auto lock_fd = std::optional<int>{};
  try {
    lock_fd = place.lock();
    if (!lock_fd)
      return done(trouble{fault::conflict, name + " still runs"});
    place.forget_run();
    auto order = shim_order{.directory = place.path(),
                            .id = name,
                            .crun = settings_.crun,
                            .hide = layout_.beside,
                            .lock = *lock_fd,
                            .log_segment_bytes = settings_.log_segment_bytes,
                            .log_segments = settings_.log_segments};
    for (const auto& each : layout_.groups(group_path(name)))
      order.cgroups.push_back(each);
    order.lease = lease_file(settings_.data);
    order.stop_signal = stop_signal_in(host::read_file(place.config()).value_or(""));
    {
      const auto lock = std::lock_guard{guard_};
      auto& x = held_.at(name);
      order.lower = x.lower;
      order.patience_ms = patience_of(x.what.spec()).count();
      order.grace_ms = grace_of(x.what.spec()).count();
      order.address = address_for(x, order);
      x.end = std::make_shared<over>(end);
      x.started = done;
    }
    write_network_files(place, order);
    const auto child = shim_.start(order);
    ::close(*lock_fd);
    output_.once(place.path(), "container", [=, this] { await_start(name); });
    host::when_ended(loop_, child, [=, this](host::ending) { shim_ended(name); });
  } catch (const std::exception& problem) {
    if (lock_fd)
      ::close(*lock_fd);
    done(trouble{fault::unspecified, problem.what()});
  }
}

/// Answers the start as soon as the shim has written down the container's first process.
void crun_driver::await_start(const std::string& name) {
  const auto container = directory(name).container();
  if (!container)
    return;
  auto done = then<running>{};
  auto now = running{.pid = container->pid, .started_ms = now_ms()};
  {
    const auto lock = std::lock_guard{guard_};
    const auto found = held_.find(name);
    if (found == held_.end())
      return;
    done = std::exchange(found->second.started, nullptr);
    if (found->second.address)
      now.address = to_string(*found->second.address);
  }
  if (done)
    done(now);
}

void crun_driver::shim_ended(const std::string& name) {
  output_.forget(directory(name).path());
  await_start(name);
  crew_.give([=, this] { conclude(name); });
}

/// A run is over: its shim has ended. What it left undone (it was killed) is done now.
void crun_driver::conclude(const std::string& name) {
  const auto place = directory(name);
  auto how = place.how_ended();
  if (!how) {
    how = ended{.code = 137, .reason = "its shim was killed, and it with it"};
    kill_unknown(place);
  }
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
    started(trouble{how->lease_over ? fault::unreachable : fault::unspecified, how->reason});
  else if (end)
    (*end)(*how);
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
  // A frozen process cannot act on it.
  group(name).thaw();
  const auto sent = ::syscall(SYS_pidfd_send_signal, *fd, number, nullptr, 0);
  const auto problem = errno;
  ::close(*fd);
  if (sent != 0 && problem != ESRCH)
    throw std::system_error{problem, std::system_category(), "cannot signal " + name};
  return nothing{};
}

outcome<std::shared_ptr<exec_process>> crun_driver::exec_now(const std::string& name, const exec_order& what) {
  const auto place = directory(name);
  if (const auto container = place.container(); !container || !open_process(*container))
    return trouble{fault::not_found, name + " does not run"};
  auto order = what;
  // crun 1.8 takes the variables that it is given in place of the container's own, PATH among them.
  if (!order.env.empty())
    order.env.merge(environment_in(host::read_file(place.config()).value_or("")));
  return start_exec(loop_, {.crun = crun(name),
                            .container = name,
                            .order = std::move(order),
                            .scratch = settings_.data / "agent",
                            .session = std::to_string(++sessions_)});
}

void crun_driver::probe(const std::string& name, const wire::HealthCheck& check, then<> done) {
  const auto limit = std::chrono::milliseconds{check.timeout_ms() > 0 ? check.timeout_ms() : 1000};
  if (check.command().empty()) {
    auto target = probe_target{.address = "127.0.0.1",
                               .port = static_cast<std::uint16_t>(check.port()),
                               .http_path = check.http_path(),
                               .timeout = limit};
    const auto lock = std::lock_guard{guard_};
    if (const auto found = held_.find(name); found != held_.end() && found->second.address)
      target.address = to_string(*found->second.address);
    return workload::probe(loop_, target, std::move(done));
  }
  auto order = exec_order{.command = {check.command().begin(), check.command().end()}};
  exec(name, order, [this, limit, done = std::move(done)](outcome<std::shared_ptr<exec_process>> begun) {
    if (!begun)
      return done(begun.why());
    probe_process(loop_, *begun, limit, done);
  });
}

outcome<> crun_driver::remove(const std::string& name) {
  const auto place = directory(name);
  if (!fs::exists(place.path()))
    return nothing{};
  const auto lock_fd = place.lock();
  if (!lock_fd)
    return trouble{fault::conflict, name + " still runs"};
  const auto gone = group(name).destroy();
  place.remove();
  ::close(*lock_fd);
  const auto lock = std::lock_guard{guard_};
  if (const auto found = held_.find(name); found != held_.end()) {
    const auto address = found->second.address;
    held_.erase(found);
    if (address)
      networks_->give_back(*address);
  }
  if (!gone)
    return trouble{fault::unspecified, "processes of " + name + " would not end"};
  return nothing{};
}

/// Whether a shim holds the instance. One that was just started may not yet have written its name.
bool crun_driver::alive(const instance_directory& place) const {
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

void crun_driver::kill_unknown(const instance_directory& place) const {
  for (const auto& known : {place.container(), place.shim()})
    if (const auto fd = known ? open_process(*known) : std::nullopt) {
      ::syscall(SYS_pidfd_send_signal, *fd, SIGKILL, nullptr, 0);
      ::close(*fd);
    }
  static_cast<void>(group(place.path().filename()).destroy());
}

std::vector<leftover> crun_driver::sweep() {
  auto found = std::vector<leftover>{};
  auto kept = std::vector<std::string>{};
  for (const auto& entry : fs::directory_iterator{settings_.data / "instances"}) {
    const auto place = instance_directory{entry.path()};
    const auto what = place.instance();
    if (!what) {
      kill_unknown(place);
      place.remove();
      continue;
    }
    auto each = leftover{.instance = *what, .status = place.status(), .alive = alive(place)};
    if (!each.alive)
      each.how = place.how_ended();
    if (each.alive)
      kept.push_back(what->name());
    else
      kill_unknown(place);
    const auto address = host::parse_ipv4(each.status.address(), 22);
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[what->name()];
    x.what = *what;
    if (networks_ && address && what->spec().network().mode() != "host") {
      networks_->claim(*address);
      x.address = address;
    }
    found.push_back(std::move(each));
  }
  if (networks_)
    networks_->begin();
  const auto ours = host::cgroup{layout_, fmt::format("/novacron/{:08x}", tag_)};
  for (const auto& name : ours.children())
    if (std::ranges::find(kept, name) == kept.end())
      static_cast<void>(group(name).destroy());
  return found;
}

void crun_driver::take_over(const std::string& name, const then<running>& done, const over& end) {
  const auto place = directory(name);
  const auto shim = place.shim();
  const auto opened = shim ? open_process(*shim) : std::nullopt;
  const auto fd = opened.value_or(-1);
  {
    const auto lock = std::lock_guard{guard_};
    auto& x = held_[name];
    x.end = std::make_shared<over>(end);
    x.started = done;
  }
  if (fd < 0)
    return shim_ended(name);
  output_.once(place.path(), "container", [=, this] { await_start(name); });
  // A pidfd of a process that is not our child can be waited for, though not reaped.
  loop_.watch(fd, EPOLLIN, [=, this](std::uint32_t) {
    const auto shim_name = name;
    const auto held_fd = fd;
    auto* const self = this;
    self->loop_.forget(held_fd);
    ::close(held_fd);
    self->shim_ended(shim_name);
  });
  await_start(name);
}

} // namespace

std::shared_ptr<container_driver> make_container_driver(container_settings settings) {
  return std::make_shared<crun_driver>(std::move(settings));
}

} // namespace novacron::workload
