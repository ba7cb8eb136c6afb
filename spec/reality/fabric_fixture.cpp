#include "spec/reality/fabric_fixture.hpp"

#include "actors/host/files.hpp"
#include "actors/host/netlink.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/image_pack.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace novacron::spec {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using json = nlohmann::json;

std::string settings_text(const std::vector<wanted_node>& nodes, const std::string& more, std::uint16_t link, std::uint16_t api) {
  // A node counts as lost early, so that kills and losses happen in the same run.
  auto text = std::string{"[fabric]\nname = \"spec\"\n[scheduler]\npatience = \"2s\"\n"} + more;
  for (const auto& x : nodes) {
    text += fmt::format("[[node]]\nname = \"{}\"\nrole = \"{}\"\n", x.name, x.role);
    if (&x == &nodes.front())
      text += fmt::format("listen = \"127.0.0.1:{}\"\napi = \"127.0.0.1:{}\"\n", link, api);
    else
      text += fmt::format("join = \"{}\"\nzone = \"{}\"\n", nodes.front().name, x.name);
    if (x.role != "cloud")
      text += "resources = { cpu = 4, memory = \"2GiB\" }\n";
  }
  return text;
}

/// The words of a process, joined with spaces; empty if it is gone.
std::string words_of(const std::string& pid) {
  auto line = host::read_file("/proc/" + pid + "/cmdline").value_or("");
  std::ranges::replace(line, '\0', ' ');
  return line;
}

std::vector<std::string> process_numbers() {
  auto found = std::vector<std::string>{};
  for (const auto& entry : fs::directory_iterator{"/proc"})
    if (const auto name = entry.path().filename().string(); name.find_first_not_of("0123456789") == name.npos)
      found.push_back(name);
  return found;
}

} // namespace

std::uint16_t free_port() {
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = sockaddr_in{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  auto size = socklen_t{sizeof address};
  ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ::ntohs(address.sin_port);
}

bool eventually(const std::function<bool()>& holds, std::chrono::nanoseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::string live_fabric::lacking() {
  if (::geteuid() != 0)
    return "a fabric with containers needs root";
  for (const auto* tool : {"/bin/busybox", "/usr/bin/crun"})
    if (!fs::exists(tool))
      return std::string{tool} + " is not installed";
  return {};
}

live_fabric::live_fabric(const std::vector<wanted_node>& nodes, const std::string& more) : link_port_{free_port()}, api_port_{free_port()} {
  auto pattern = std::string{"/var/tmp/novacron-fabric-XXXXXX"};
  root_ = fs::canonical(::mkdtemp(pattern.data()));
  const auto file = root_ / "nodes.toml";
  std::ofstream{file} << settings_text(nodes, more, link_port_, api_port_);
  auto found = node::resolve(node::usual_layers({}, file), root_);
  if (!found.problems.empty())
    throw std::runtime_error{node::to_string(found.problems.front())};
  for (const auto& x : nodes)
    names_.push_back(x.name);
  fabric_ = std::make_unique<node::local_fabric>(
      node::local_fabric::options{.program = NOVACRON, .settings = found.settings, .config_file = file.string(), .extra = {}});
}

live_fabric::~live_fabric() {
  if (process_of(names_.front()) > 0)
    node::clear_workloads(fabric_->socket(), 20s);
  fabric_->stop(15s);
  fabric_.reset();
  auto ignored = std::error_code{};
  if (!std::getenv("NOVACRON_KEEP"))
    fs::remove_all(root_, ignored);
}

bool live_fabric::start_all() {
  fabric_->start_all();
  return fabric_->await_ready(30s);
}

fs::path live_fabric::data_of(const std::string& node) const {
  return fabric_->settings().find(node)->data_dir;
}

shell::client live_fabric::ask(const std::string& node) const {
  const auto socket = data_of(node.empty() ? names_.front() : node) / "api.sock";
  return {shell::parse_target(socket.string()), {}, 5s};
}

json live_fabric::get(const std::string& path) const { return json::parse(ask().get(path)); }

void live_fabric::bring_image() {
  const auto files = root_ / "image";
  fs::create_directories(files / "bin");
  fs::copy_file("/bin/busybox", files / "bin/busybox");
  for (const auto* tool : {"sh", "sleep", "echo", "true"})
    fs::create_symlink("busybox", files / "bin" / tool);
  workload::pack_image(files, {}, root_ / "layout");
  const auto order = json{{"path", (root_ / "layout").string()}, {"name", "spec:1"}};
  ask().post("/v1/images:import", order.dump(), 30s);
}

void live_fabric::run(const std::string& name, const std::vector<std::string>& command, const json& more) {
  auto spec = json{{"name", name},
                   {"kind", "WORKLOAD_KIND_CONTAINER"},
                   {"program", {{"image", "spec:1"}, {"command", command}}},
                   {"resources", {{"cpu_milli", 50}, {"memory_bytes", 16 << 20}}},
                   {"replicas", 1},
                   {"stop_grace_ms", 2000}};
  if (!more.is_null())
    spec.merge_patch(more);
  ask().order("PUT", "/v1/workloads/" + name, spec.dump());
}

/// As the driver: nodes on one machine are told apart by their data directories.
std::uint32_t live_fabric::tag_of(const std::string& node) const {
  auto sum = 2166136261u;
  for (const unsigned char x : data_of(node).string())
    sum = (sum ^ x) * 16777619u;
  return sum;
}

std::map<std::string, std::vector<std::string>> live_fabric::running() const {
  auto found = std::map<std::string, std::vector<std::string>>{};
  for (const auto& node : names_) {
    const auto top = fmt::format("/novacron/{:08x}", tag_of(node));
    for (const auto& name : host::cgroup{groups_, top}.children())
      if (!host::cgroup{groups_, top + "/" + name}.members().empty())
        found[name].push_back(node);
  }
  return found;
}

pid_t live_fabric::first_process(const std::string& node, const std::string& instance) const {
  auto text = std::istringstream{host::read_file(data_of(node) / "instances" / instance / "container").value_or("")};
  auto pid = pid_t{0};
  auto start = std::uint64_t{0};
  return text >> pid >> start && host::start_ticks(pid) == start ? pid : 0;
}

std::string live_fabric::crun_state(const std::string& node, const std::string& instance) const {
  const auto kept = data_of(node) / "instances" / instance / "crun";
  auto what = host::command{};
  what.argv = {"crun", "--root", kept.string(), "--cgroup-manager=cgroupfs", "state", instance};
  const auto said = host::run(what);
  if (said.how.code != 0)
    return said.err;
  return json::parse(said.out).value("status", "");
}

pid_t live_fabric::process_of(const std::string& node, bool ledger) const {
  const auto data = data_of(node).string();
  for (const auto& pid : process_numbers()) {
    const auto words = words_of(pid);
    const auto serves = words.find(" ledger-server") != words.npos;
    if (words.starts_with(NOVACRON) && serves == ledger && words.find(data) != words.npos)
      return std::stoi(pid);
  }
  return 0;
}

std::vector<std::string> live_fabric::traces(bool nodes_too) const {
  auto found = std::vector<std::string>{};
  for (const auto& pid : process_numbers())
    if (const auto words = words_of(pid);
        words.find(root_.string()) != words.npos && (nodes_too || !words.starts_with(NOVACRON)))
      found.push_back("process " + words);
  // Mounts of containers are in namespaces of their own, which end with their processes; here none may be at all.
  if (host::read_file("/proc/self/mounts").value_or("").find(root_.string()) != std::string::npos)
    found.emplace_back("mount");
  const auto devices = host::netlink{}.names();
  for (const auto& node : names_) {
    const auto tag = tag_of(node);
    for (const auto& name : host::cgroup{groups_, fmt::format("/novacron/{:08x}", tag)}.children())
      found.push_back("cgroup " + node + "/" + name);
    // A running node keeps some network namespaces ready; their devices go with it.
    for (const auto& name : devices)
      if (nodes_too && name.find(fmt::format("{:08x}", tag)) != name.npos)
        found.push_back("device " + name + " of " + node);
  }
  return found;
}

bool live_fabric::logged(const std::string& node, const std::string& text) const {
  return host::read_file(fabric_->log_of(node)).value_or("").find(text) != std::string::npos;
}

double resident_mb(pid_t pid) {
  const auto status = host::read_file(fmt::format("/proc/{}/status", pid)).value_or("");
  const auto at = status.find("VmRSS:");
  return at == status.npos ? 0 : std::stod(status.substr(at + 6)) / 1024;
}

double live_fabric::metric(const std::string& node, const std::string& line) const {
  auto text = std::istringstream{ask(node).get("/metrics")};
  for (auto each = std::string{}; std::getline(text, each);)
    if (each.starts_with(line + " "))
      return std::stod(each.substr(line.size() + 1));
  return 0;
}

} // namespace novacron::spec
