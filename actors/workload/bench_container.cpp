#include "actors/workload/bench_container.hpp"

#include "actors/host/cgroup.hpp"
#include "actors/host/files.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/bench_start.hpp"
#include "actors/workload/container_driver.hpp"
#include "actors/workload/shim_launch.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto greeting = "up\n";

fs::path make_root(const fs::path& where) {
  fs::create_directories(where / "bin");
  fs::copy_file("/bin/busybox", where / "bin/busybox");
  fs::create_symlink("busybox", where / "bin/echo");
  return where;
}

/// A node's agent on fresh ground, and crun beside it.
struct bench {
  bench_node node;
  fs::path root;
  shim_launch shim;
  host::cgroup_layout layout = host::find_cgroups();
  wire::WorkloadKind kind;

  bench(const bench_options& options, wire::WorkloadKind what)
      : node{options.scratch, {.answer = 30s, .output = 20s, .step = 1ms}}, kind{what} {
    root = options.root.empty() ? make_root(node.top() / "root") : options.root;
    node.begin(make_container_driver({.data = node.data()}), root);
    fs::create_directories(node.top() / "bundle");
  }

  wire::WorkloadSpec spec() const {
    auto x = wire::WorkloadSpec{};
    x.set_kind(kind);
    x.mutable_program()->add_command("/bin/echo");
    x.mutable_program()->add_command("up");
    x.mutable_resources()->set_memory_bytes(64 << 20);
    x.mutable_resources()->set_cpu_milli(1000);
    return x;
  }

  double through_agent() {
    return node.start(spec(), greeting, [this] { keep_bundle(); });
  }

  double first_call() {
    const auto took = node.start_function(spec());
    keep_bundle();
    node.clear();
    return took;
  }

  /// From the start of the handler on the host, as the usher starts it, to its output.
  double handler() const {
    auto output = bench_pipe{};
    const auto begin = clock::now();
    const auto child = host::start({.argv = {root / "bin/echo", "up"}, .out = output.writer(), .err = 2});
    const auto well = output.says(greeting, 30s);
    const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
    await(child);
    if (!well)
      throw std::runtime_error{"the handler gave no output"};
    return took;
  }

  static void await(const host::child& child) {
    auto ended = pollfd{child.pidfd, POLLIN, 0};
    ::poll(&ended, 1, 30'000);
    ::close(child.pidfd);
    ::waitpid(child.pid, nullptr, 0);
  }

  /// The bundle stays for crun: the same config.json and network files, over a root that crun can use without an
  /// overlay.
  void keep_bundle() {
    const auto target = node.top() / "bundle";
    if (fs::exists(target / "config.json"))
      return;
    const auto here = node.data() / "instances" / "start.0";
    auto text = host::read_file(here / "bundle/config.json").value_or("");
    const auto replace = [&](const std::string& from, const std::string& to) {
      for (auto at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    };
    replace(here / "root", fs::canonical(root));
    replace(here / "etc", target);
    for (const auto& file : fs::directory_iterator{here / "etc"})
      fs::copy(file, target / file.path().filename());
    auto config = nlohmann::json::parse(text);
    // Of a function crun runs the handler itself.
    if (auto& words = config["process"]["args"]; kind == wire::WORKLOAD_KIND_FUNCTION)
      words.erase(words.begin(), words.begin() + 3);
    host::replace_file(target / "config.json", config.dump(1));
  }

  /// From the start of `crun run` to its output.
  double bare() {
    auto output = bench_pipe{};
    const auto top = node.top();
    auto words = shim.inside(layout.beside.string());
    words.insert(words.end(), {"crun", "--root", top / "crun", "--cgroup-manager=cgroupfs", "run", "-b", top / "bundle",
                               "novacron-bench"});
    const auto begin = clock::now();
    const auto child = host::start({.argv = words, .out = output.writer(), .err = 2});
    const auto well = output.says(greeting, 30s);
    const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
    await(child);
    if (!well)
      throw std::runtime_error{"bare crun gave no output"};
    return took;
  }
};

} // namespace

std::map<std::string, bench_figure> bench_container(const bench_options& options) {
  auto one = bench{options, wire::WORKLOAD_KIND_BATCH};
  return compare_starts(
      options.rounds, "bare crun", [&] { return one.through_agent(); }, [&] { return one.bare(); });
}

std::map<std::string, bench_figure> bench_function(const bench_options& options, bool cold) {
  auto one = bench{options, wire::WORKLOAD_KIND_FUNCTION};
  if (cold)
    return compare_starts(
        options.rounds, "the handler in bare crun", [&] { return one.first_call(); }, [&] { return one.bare(); });
  one.node.start_function(one.spec());
  auto found = compare_starts(
      options.rounds, "the handler alone", [&] { return one.node.call(greeting); }, [&] { return one.handler(); });
  one.node.clear();
  return found;
}

} // namespace novacron::workload
