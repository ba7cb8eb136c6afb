#include "actors/node/local_fabric.hpp"

#include "actors/node/credentials.hpp"
#include "actors/shell/client.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

using monotonic = std::chrono::steady_clock;

/// A socket on which a node tells, as to systemd, that it is ready.
int open_notices(const fs::path& path) {
  auto address = sockaddr_un{};
  address.sun_family = AF_UNIX;
  const auto text = path.string();
  if (text.size() >= sizeof address.sun_path)
    throw std::runtime_error{"the path of the data directory is too long for a socket: " + text};
  std::memcpy(address.sun_path, text.c_str(), text.size());
  ::unlink(text.c_str());
  const auto fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw std::system_error{errno, std::system_category(), "cannot make " + text};
  return fd;
}

const node_settings& first_controller(const configuration& settings) {
  for (const auto& node : settings.nodes)
    if (node.is_controller())
      return node;
  throw std::runtime_error{"the fabric has no controller: one node needs role = \"cloud\" or \"hybrid\""};
}

/// Our environment with one variable changed.
std::vector<std::string> environment_with(const std::string& name, const std::string& value) {
  auto all = std::vector<std::string>{name + "=" + value};
  for (auto** x = ::environ; *x; ++x)
    if (!std::string_view{*x}.starts_with(name + "="))
      all.emplace_back(*x);
  return all;
}

} // namespace

bool listens(const fs::path& socket) {
  auto address = sockaddr_un{};
  address.sun_family = AF_UNIX;
  const auto text = socket.string();
  if (text.size() >= sizeof address.sun_path)
    return false;
  std::memcpy(address.sun_path, text.c_str(), text.size());
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto alive = fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (fd >= 0)
    ::close(fd);
  return alive;
}

fs::path announced_socket() {
  const auto variable = [](const char* name) { return static_cast<const char*>(::getenv(name)); };
  return shell::state_directory(variable, ::geteuid()) / "api.sock";
}

local_fabric::local_fabric(options how) : how_{std::move(how)} {
  const auto now = std::chrono::system_clock::now();
  const auto authority = first_controller(how_.settings).data_dir / "trust";
  const auto life = std::chrono::duration_cast<std::chrono::seconds>(how_.settings.trust.life);
  fs::create_directories(authority);
  lay_authority(authority, how_.settings.fabric.name, now);
  for (const auto& node : how_.settings.nodes) {
    fs::create_directories(node.data_dir / "trust");
    lay_certificate(authority, node.data_dir / "trust", node.name, node.role, now, life);
  }
}

local_fabric::~local_fabric() {
  for (auto& [name, x] : running_) {
    ::kill(x.child.pid, SIGKILL);
    ::waitpid(x.child.pid, nullptr, 0);
    forget(x);
  }
}

const node_settings& local_fabric::find(const std::string& node) const {
  const auto* found = how_.settings.find(node);
  if (!found)
    throw std::runtime_error{"there is no node called " + node};
  return *found;
}

fs::path local_fabric::log_of(const std::string& node) const {
  return find(node).data_dir / "node.log";
}

fs::path local_fabric::socket() const {
  return first_controller(how_.settings).data_dir / "api.sock";
}

void local_fabric::start(const std::string& node) {
  const auto& self = find(node);
  auto what = host::command{};
  what.argv = {how_.program, "--role=" + self.role, "--name=" + self.name, "--data-dir=" + self.data_dir.string()};
  if (!how_.config_file.empty())
    what.argv.push_back("--config=" + how_.config_file);
  if (const auto extra = how_.extra.find(node); extra != how_.extra.end())
    for (const auto& [flag, value] : extra->second)
      what.argv.push_back("--" + flag + "=" + value);
  const auto notices = self.data_dir / "notice.sock";
  auto entry = process{.child = {}, .notices = open_notices(notices)};
  what.environment = environment_with("NOTIFY_SOCKET", notices.string());
  what.dies_with_us = true;
  const auto log = ::open(log_of(node).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  what.out = log;
  what.err = log;
  entry.child = host::start(what);
  ::close(log);
  running_.emplace(node, entry);
}

void local_fabric::start_all() {
  for (const auto& node : how_.settings.nodes)
    start(node.name);
}

void local_fabric::start_missing() {
  take_ended();
  for (const auto& node : how_.settings.nodes)
    if (!running_.contains(node.name))
      start(node.name);
}

void local_fabric::look_for_notice(process& x) {
  auto text = std::array<char, 512>{};
  for (auto count = ::recv(x.notices, text.data(), text.size(), 0); count > 0; count = ::recv(x.notices, text.data(), text.size(), 0))
    x.ready = x.ready || std::string_view{text.data(), static_cast<std::size_t>(count)}.find("READY=1") != std::string_view::npos;
}

bool local_fabric::await_ready(std::chrono::nanoseconds limit) {
  const auto deadline = monotonic::now() + limit;
  for (;;) {
    auto waiting = std::vector<pollfd>{};
    for (auto& [name, x] : running_) {
      look_for_notice(x);
      if (!x.ready) {
        waiting.push_back({x.notices, POLLIN, 0});
        waiting.push_back({x.child.pidfd, POLLIN, 0});
      }
    }
    if (waiting.empty())
      return true;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - monotonic::now()).count();
    if (left <= 0 || ::poll(waiting.data(), waiting.size(), static_cast<int>(left)) <= 0)
      return false;
    for (std::size_t i = 1; i < waiting.size(); i += 2)
      if (waiting[i].revents != 0)
        return false;
  }
}

void local_fabric::signal(const std::string& node, int number) {
  const auto at = running_.find(node);
  if (at == running_.end())
    throw std::runtime_error{node + " is not running"};
  ::kill(at->second.child.pid, number);
}

void local_fabric::forget(process& x) {
  ::close(x.notices);
  ::close(x.child.pidfd);
}

std::vector<std::pair<std::string, host::ending>> local_fabric::take_ended() {
  auto ended = std::vector<std::pair<std::string, host::ending>>{};
  for (auto at = running_.begin(); at != running_.end();) {
    auto status = 0;
    if (::waitpid(at->second.child.pid, &status, WNOHANG) != at->second.child.pid) {
      ++at;
      continue;
    }
    const auto how = WIFSIGNALED(status) ? host::ending{128 + WTERMSIG(status), WTERMSIG(status)} : host::ending{WEXITSTATUS(status), 0};
    ended.emplace_back(at->first, how);
    forget(at->second);
    at = running_.erase(at);
  }
  return ended;
}

void local_fabric::stop(std::chrono::nanoseconds grace) {
  const auto deadline = monotonic::now() + grace;
  for (const auto controllers : {false, true}) {
    auto mine = [&](const std::string& name) { return find(name).is_controller() == controllers; };
    for (const auto& [name, x] : running_)
      if (mine(name))
        ::kill(x.child.pid, SIGTERM);
    for (;;) {
      take_ended();
      const auto left = std::ranges::any_of(running_, [&](const auto& x) { return mine(x.first); });
      if (!left || monotonic::now() > deadline)
        break;
      ::usleep(5'000);
    }
  }
  for (auto& [name, x] : running_) {
    ::kill(x.child.pid, SIGKILL);
    ::waitpid(x.child.pid, nullptr, 0);
    forget(x);
  }
  running_.clear();
}

namespace {

/// What the ledger has forgotten may still run on a node that was away, so that each is asked itself.
bool nodes_are_empty(shell::client& fabric) {
  using json = nlohmann::json;
  try {
    const auto all = json::parse(fabric.get("/v1/nodes"));
    for (const auto& x : all.at("nodes")) {
      const auto& facts = x.at("record").at("facts");
      if (!facts.value("hosts_workloads", true))
        continue;
      const auto path = "/v1/actors/" + shell::url_encode(facts.at("name").get<std::string>()) + "/agent:ask";
      const auto answer = json::parse(fabric.post(path, R"({"message": "ReportRequest"})"));
      if (!json::parse(answer.at("json").get<std::string>()).at("instances").empty())
        return false;
    }
    return true;
  } catch (const std::exception&) {
    return false; // not there yet, or not any more
  }
}

} // namespace

bool clear_workloads(const fs::path& socket, std::chrono::seconds patience) {
  const auto deadline = monotonic::now() + patience;
  try {
    auto fabric = shell::client{shell::parse_target(socket.string()), {}, std::chrono::seconds{3}};
    const auto all = nlohmann::json::parse(fabric.get("/v1/workloads"));
    for (const auto& x : all.at("workloads"))
      fabric.order("DELETE", "/v1/workloads/" + shell::url_encode(x.at("record").at("spec").at("name").get<std::string>()));
    while (monotonic::now() < deadline) {
      if (nlohmann::json::parse(fabric.get("/v1/instances")).at("instances").empty() && nodes_are_empty(fabric))
        return true;
      ::usleep(50'000);
    }
  } catch (const std::exception&) {
    // Whoever called learns it from the answer; there is nobody else to tell on the way out.
  }
  return false;
}

} // namespace novacron::node
