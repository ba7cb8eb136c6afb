#include "spec/reality/container_kit.hpp"

#include "actors/host/cgroup.hpp"
#include "actors/host/files.hpp"
#include "actors/host/netlink.hpp"
#include "actors/workload/driver_by_kind.hpp"
#include "actors/workload/qemu_monitor.hpp"
#include "spec/skip.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>
#include <utility>

namespace novacron::spec {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

/// As the driver: nodes on one machine are told apart by their data directories.
std::uint32_t tag_of(const fs::path& data) {
  auto tag = 2166136261u;
  for (const unsigned char x : fs::weakly_canonical(data).string())
    tag = (tag ^ x) * 16777619u;
  return tag;
}

} // namespace

bool can_run() {
  const auto able = ::geteuid() == 0 && fs::exists("/bin/busybox") && fs::exists("/usr/bin/crun");
  if (!able)
    skip(doctest::getContextOptions()->currentTest->m_name, "containers need root, crun and a static /bin/busybox");
  return able;
}

bool can_run_machines() {
  const auto lacks = workload::machine_lacks({.monitor = workload::make_qemu_monitor()});
  const auto able = ::geteuid() == 0 && fs::exists("/bin/busybox") && lacks.empty();
  if (!able)
    skip(doctest::getContextOptions()->currentTest->m_name,
         "machines need root, a static /bin/busybox, QEMU and a kernel for guests" +
             (lacks.empty() ? std::string{} : ": " + lacks.front()));
  return able;
}

std::shared_ptr<workload::driver> with_machines(const fs::path& data,
                                                const std::shared_ptr<workload::container_driver>& containers,
                                                const std::shared_ptr<workload::machine_templates>& templates,
                                                const std::shared_ptr<workload::machine_checkpoints>& checkpoints) {
  auto settings = workload::machine_settings{.data = data, .monitor = workload::make_qemu_monitor()};
  settings.templates = templates;
  settings.checkpoints = checkpoints;
  settings.networks = containers->networks();
  return workload::make_driver_by_kind(containers, workload::make_machine_driver(settings));
}

std::shared_ptr<workload::machine_templates> templates_in(const fs::path& data, std::uint64_t bytes_max) {
  return workload::make_machine_templates(data, workload::make_qemu_monitor(), bytes_max);
}

ground::ground(const std::string& size) {
  auto pattern = std::string{"/var/tmp/novacron-spec-XXXXXX"};
  top = ::mkdtemp(pattern.data());
  mounted = !size.empty();
  if (mounted)
    REQUIRE(::mount("tmpfs", top.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0);
  fs::create_directories(root() / "bin");
  fs::create_directories(root() / "www");
  fs::copy_file("/bin/busybox", root() / "bin/busybox");
  for (const auto* name : {"sh", "sleep", "cat", "echo", "dd", "yes", "head", "httpd", "hostname", "id", "ip", "mount",
                           "poweroff", "rm", "tty", "stty", "timeout", "true", "touch", "wget"})
    fs::create_symlink("busybox", root() / "bin" / name);
  std::ofstream{root() / "www/index.html"} << "hello\n";
}

ground::~ground() {
  if (mounted)
    ::umount2(top.c_str(), MNT_DETACH);
  fs::remove_all(top);
}

wire::Instance instance(const std::string& name, const std::string& script, std::uint64_t epoch) {
  auto x = wire::Instance{};
  x.set_name(name);
  x.set_workload(name.substr(0, name.find('.')));
  x.set_epoch(epoch);
  x.set_generation(1);
  x.set_node("n");
  auto& spec = *x.mutable_spec();
  spec.set_name(x.workload());
  spec.set_kind(wire::WORKLOAD_KIND_CONTAINER);
  for (const auto* word : {"/bin/sh", "-c"})
    spec.mutable_program()->add_command(word);
  spec.mutable_program()->add_command(script);
  spec.mutable_network()->set_mode("none");
  spec.set_stop_grace_ms(3000);
  return x;
}

wire::Instance batch(const std::string& name, const std::string& script) {
  auto x = instance(name, script);
  x.mutable_spec()->set_kind(wire::WORKLOAD_KIND_BATCH);
  return x;
}

std::string group_of(const fs::path& data, const std::string& name) {
  return fmt::format("/novacron/{:08x}/{}", tag_of(data), name);
}

std::size_t members(const fs::path& data, const std::string& name) {
  return host::cgroup{host::find_cgroups(), group_of(data, name)}.members().size();
}

std::vector<std::string> leftovers(const fs::path& data) {
  auto found = std::vector<std::string>{};
  const auto canonical = fs::weakly_canonical(data).string();
  for (const auto& entry : fs::directory_iterator{"/proc"}) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos)
      continue;
    const auto line = host::read_file(entry.path() / "cmdline").value_or("");
    auto gone = std::error_code{};
    const auto lives_in = fs::read_symlink(entry.path() / "cwd", gone).string();
    if (line.find("dir=" + canonical) != line.npos || lives_in.starts_with(canonical + "/machine"))
      found.push_back("process " + name);
  }
  if (host::read_file("/proc/self/mounts").value_or("").find(canonical) != std::string::npos)
    found.push_back("mount");
  const auto tag = tag_of(data);
  for (const auto each : {tag, tag_of(data / "machines")}) {
    const auto group = host::cgroup{host::find_cgroups(), fmt::format("/novacron/{:08x}", each)};
    for (const auto& name : group.children())
      found.push_back("cgroup " + name);
  }
  for (const auto& name : host::netlink{}.names())
    if (name.starts_with(fmt::format("nv{:08x}", tag)) || name == fmt::format("nova{:08x}", tag))
      found.push_back("device " + name);
  if (host::run({.argv = {"sh", "-c", fmt::format("nft list tables 2>/dev/null | grep nova{:08x}", tag)}}).how.code ==
      0)
    found.push_back("rules of nft");
  return found;
}

bool eventually(const std::function<bool()>& holds, duration limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

agent_process::~agent_process() {
  cut(false);
  start({});
  const auto bare = [&](const char* what) {
    return !fs::exists(place_.data() / what) || fs::is_empty(place_.data() / what);
  };
  CHECK(eventually([&] { return bare("instances") && bare("machines"); }, 120s));
  end();
  CHECK(eventually([&] { return leftovers(place_.data()).empty(); }, 10s));
  for (const auto& each : leftovers(place_.data()))
    MESSAGE("left over: " << each);
}

void agent_process::start(const std::vector<wire::Instance>& all) {
  if (input_ >= 0)
    end();
  auto order = wire::Assign{};
  order.set_node("n");
  order.set_revision(++revision_);
  for (const auto& each : all)
    *order.add_instances() = each;
  std::ofstream{place_.top / "assign"} << to_json(order);
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  child_ = host::start({.argv = {AGENT_HOST, place_.data(), place_.root(), place_.top / "assign", place_.top / "cut"},
                        .in = ends[0],
                        .err = 2});
  ::close(ends[0]);
  input_ = ends[1];
}

void agent_process::checkpoint() const {
  REQUIRE(::write(input_, "k", 1) == 1);
}

void agent_process::convert(char to) const {
  REQUIRE(::write(input_, &to, 1) == 1);
}

void agent_process::kill() {
  ::kill(child_.pid, SIGKILL);
  await_end();
}

void agent_process::end() {
  await_end();
}

void agent_process::await_end() {
  ::close(std::exchange(input_, -1));
  ::waitpid(child_.pid, nullptr, 0);
  ::close(child_.pidfd);
}

void agent_process::cut(bool off) const {
  if (off)
    std::ofstream{place_.top / "cut"};
  else
    fs::remove(place_.top / "cut");
}

wire::InstanceStatus agent_process::status(const std::string& name) const {
  auto found = wire::InstanceStatus{};
  for (const auto* kind : {"instances", "machines"})
    if (const auto content = host::read_file(place_.data() / kind / name / "status.pb"))
      found.ParseFromString(*content);
  return found;
}

} // namespace novacron::spec
