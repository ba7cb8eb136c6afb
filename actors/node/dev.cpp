#include "actors/node/dev.hpp"

#include "actors/node/local_fabric.hpp"
#include "actors/node/node_lock.hpp"
#include "actors/shell/client.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <thread>

namespace novacron::node {
namespace {

namespace fs = std::filesystem;

using monotonic = std::chrono::steady_clock;

constexpr auto exit_usage = 2;
constexpr auto exit_interrupted = 130;
constexpr auto start_patience = std::chrono::seconds{30};
constexpr auto end_patience = std::chrono::seconds{15};
/// A node that was killed comes back after this, as a service manager would have it.
constexpr auto restart_pause = std::chrono::milliseconds{500};

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

/// What to type to get this program: its name if that finds it, else its path.
std::string as_typed(const std::string& program) {
  const auto* path = std::getenv("PATH");
  auto ignored = std::error_code{};
  for (auto rest = std::string_view{path ? path : ""}; !rest.empty();) {
    const auto end = std::min(rest.find(':'), rest.size());
    const auto candidate = fs::path{rest.substr(0, end)} / "novacron";
    if (fs::exists(candidate, ignored))
      return fs::equivalent(candidate, program, ignored) ? "novacron" : program;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto near = fs::path{program}.lexically_relative(fs::current_path(ignored)).string();
  return near.empty() || near.starts_with("..") ? program : near.find('/') == near.npos ? "./" + near : near;
}

void welcome(const local_fabric& fabric, const std::string& program, double seconds, bool found_by_default) {
  auto names = std::string{};
  for (const auto& node : fabric.settings().nodes)
    names += fmt::format("{}{} ({})", names.empty() ? "" : ", ", node.name, node.role);
  const auto connect = found_by_default ? std::string{} : " --connect=" + fabric.socket().string();
  const auto typed = as_typed(program);
  fmt::print("novacron dev is ready after {:.2f} s: {}\n\nTry in another terminal:\n  {} node list{}\n  {} shell{}\n"
             "  {} web{}\nLogs: {}\nCtrl-C ends it.\n",
             seconds, names, typed, connect, typed, connect, typed, connect,
             fabric.log_of(fabric.settings().nodes.front().name).string());
  std::fflush(stdout);
}

using ended_nodes = std::vector<std::pair<std::string, host::ending>>;

/// Whether one of `signals` came within `patience`.
bool called(const sigset_t& signals, std::chrono::milliseconds patience) {
  const auto wait = timespec{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds{patience}.count()};
  return ::sigtimedwait(&signals, nullptr, &wait) > 0;
}

enum class beginning : std::uint8_t { ready, failed, called_off };

/// Until all nodes are ready, one has ended, or the person has changed their mind.
beginning await_start(local_fabric& fabric, const sigset_t& signals, ended_nodes& ended) {
  constexpr auto step = std::chrono::milliseconds{50};
  const auto deadline = monotonic::now() + start_patience;
  while (monotonic::now() < deadline && ended.empty()) {
    if (fabric.await_ready(step))
      return beginning::ready;
    if (called(signals, std::chrono::milliseconds{0}))
      return beginning::called_off;
    ended = fabric.take_ended();
  }
  return beginning::failed;
}

/// Until a signal comes: nodes that ended are said to have, and started again.
void watch(local_fabric& fabric, const sigset_t& signals) {
  auto comeback = std::map<std::string, monotonic::time_point>{};
  for (;;) {
    if (called(signals, std::chrono::milliseconds{100}))
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
  // A terminal that is closed shall not leave containers behind either.
  for (const auto one : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&signals, one);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const auto begin = monotonic::now();
  auto fabric = local_fabric{{options.program, std::move(settings), options.config_file, {}}};
  if (::isatty(2) == 1)
    std::cerr << fmt::format("novacron dev: starting {} node{} in {}\n", fabric.settings().nodes.size(),
                             fabric.settings().nodes.size() == 1 ? "" : "s", root.string());
  fabric.start_all();
  auto ended = ended_nodes{};
  switch (await_start(fabric, signals, ended)) {
    case beginning::ready: break;
    case beginning::called_off: fabric.stop(end_patience); return exit_interrupted;
    case beginning::failed:
      for (const auto& [name, how] : ended)
        std::cerr << fmt::format("novacron dev: {} could not start:\n{}", name, last_lines(fabric.log_of(name)));
      std::cerr << "novacron dev: the fabric is not ready; the nodes' logs are below " << root.string() << "\n";
      return 1;
  }
  {
    const auto announced = announcement{fabric.socket()};
    welcome(fabric, options.program, std::chrono::duration<double>(monotonic::now() - begin).count(), announced.made());
    watch(fabric, signals);
  }
  // From here on a second Ctrl-C ends us, and our nodes with us.
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  if (options.data_dir.empty()) {
    std::cerr << "\nnovacron dev: ending the workloads and the nodes (Ctrl-C again to leave at once)\n";
    fabric.start_missing();
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
  : link_{announced_socket()} {
  auto ignored = std::error_code{};
  fs::create_directories(link_.parent_path(), ignored);
  // One that was killed left its link, which may lead to us by now.
  if (listens(link_) && !fs::equivalent(link_, socket, ignored))
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
