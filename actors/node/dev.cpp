#include "actors/node/dev.hpp"

#include "actors/node/local_fabric.hpp"
#include "actors/node/node_lock.hpp"
#include "actors/shell/client.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iostream>
#include <thread>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

using monotonic = std::chrono::steady_clock;

constexpr auto exit_usage = 2;
constexpr auto start_patience = std::chrono::seconds{30};
constexpr auto end_patience = std::chrono::seconds{15};
/// A node that was killed comes back after this, as a service manager would have it.
constexpr auto restart_pause = std::chrono::milliseconds{500};

bool is_alive(const fs::path& socket) {
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

std::string last_lines(const fs::path& file) {
  auto in = std::ifstream{file};
  auto lines = std::vector<std::string>{};
  for (auto line = std::string{}; std::getline(in, line);)
    lines.push_back(line);
  auto text = std::string{};
  for (auto i = lines.size() > 5 ? lines.size() - 5 : 0; i < lines.size(); ++i)
    text += "  " + lines[i] + "\n";
  return text;
}

void welcome(const local_fabric& fabric, double seconds, bool found_by_default) {
  auto names = std::string{};
  for (const auto& node : fabric.settings().nodes)
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", node.name, node.role);
  const auto connect = found_by_default ? std::string{} : " --connect=" + fabric.socket().string();
  fmt::print("novacron dev is ready after {:.2f} s: {}\n\nTry in another terminal:\n  novacron node list{}\n  novacron shell{}\n"
             "  novacron run FILE{}\nLogs: {}\nCtrl-C ends it.\n",
             seconds, names, connect, connect, connect, fabric.log_of(fabric.settings().nodes.front().name).string());
  std::fflush(stdout);
}

/// Until a signal comes: nodes that ended are said to have, and started again.
void watch(local_fabric& fabric, const sigset_t& signals) {
  auto comeback = std::map<std::string, monotonic::time_point>{};
  for (;;) {
    const auto wait = timespec{.tv_sec = 0, .tv_nsec = 100'000'000};
    if (::sigtimedwait(&signals, nullptr, &wait) > 0)
      return;
    for (const auto& [name, how] : fabric.take_ended()) {
      std::cerr << fmt::format("novacron dev: {} ended ({} {}); starting it again\n", name, how.signal ? "signal" : "exit code",
                               how.signal ? how.signal : how.code);
      comeback[name] = monotonic::now() + restart_pause;
    }
    for (auto at = comeback.begin(); at != comeback.end();) {
      if (monotonic::now() < at->second) {
        ++at;
        continue;
      }
      fabric.start(at->first);
      at = comeback.erase(at);
    }
  }
}

/// Returns the exit code; `cleared` says whether nothing is left that needs the data directory.
int run(const dev_options& options, configuration settings, const fs::path& root, bool& cleared) {
  auto signals = sigset_t{};
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto begin = monotonic::now();
  auto fabric = local_fabric{{options.program, std::move(settings), options.config_file, {}}};
  fabric.start_all();
  if (!fabric.await_ready(start_patience)) {
    for (const auto& [name, how] : fabric.take_ended())
      std::cerr << fmt::format("novacron dev: {} could not start:\n{}", name, last_lines(fabric.log_of(name)));
    std::cerr << "novacron dev: the fabric is not ready; the nodes' logs are below " << root.string() << "\n";
    return 1;
  }
  {
    const auto announced = announcement{fabric.socket()};
    welcome(fabric, std::chrono::duration<double>(monotonic::now() - begin).count(), announced.made());
    watch(fabric, signals);
  }
  if (options.data_dir.empty()) {
    std::cerr << "\nnovacron dev: ending the workloads and the nodes (Ctrl-C again to leave at once)\n";
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    cleared = clear_workloads(fabric.socket(), end_patience);
    if (!cleared)
      std::cerr << "novacron dev: some workloads did not end in time; the next `novacron dev` takes care of them\n";
  } else {
    std::cerr << "\nnovacron dev: ending the nodes; their workloads run on\n";
  }
  fabric.stop(end_patience);
  return 0;
}

} // namespace

announcement::announcement(const fs::path& socket)
  : link_{shell::state_directory([](const char* name) { return static_cast<const char*>(::getenv(name)); }, ::geteuid()) / "api.sock"} {
  auto ignored = std::error_code{};
  fs::create_directories(link_.parent_path(), ignored);
  if (is_alive(link_))
    return;
  fs::remove(link_, ignored);
  fs::create_symlink(socket, link_, ignored);
  made_ = !ignored;
}

announcement::~announcement() {
  auto ignored = std::error_code{};
  if (made_)
    fs::remove(link_, ignored);
}

int dev(const dev_options& options) {
  const auto ephemeral = options.data_dir.empty();
  const auto root = fs::absolute(ephemeral ? usual_data_root() / "dev" : options.data_dir);
  auto with_file = options;
  if (with_file.config_file.empty() && fs::exists("nodes.toml"))
    with_file.config_file = "nodes.toml";
  auto found = resolve(usual_layers({}, with_file.config_file), root);
  for (const auto& wrong : found.problems)
    std::cerr << "novacron: " << to_string(wrong) << "\n";
  if (!found.problems.empty())
    return exit_usage;
  try {
    fs::create_directories(root);
    const auto lock = node_lock{root};
    auto cleared = false;
    const auto code = run(with_file, std::move(found.settings), root, cleared);
    auto ignored = std::error_code{};
    if (ephemeral && cleared)
      fs::remove_all(root, ignored);
    return code;
  } catch (const std::exception& problem) {
    std::cerr << "novacron dev: " << problem.what() << "\n";
    return 1;
  }
}

} // namespace novacron::node
