#include "actors/workload/bench_container.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/bench_start.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/qemu_monitor.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto greeting = "up and running";

/// A node's agent on fresh ground, and the machine's program beside it.
struct bench {
  bench_node node;
  bool whole;

  bench(const bench_options& options, bool whole_machine)
      : node{options.scratch, {.answer = 120s, .output = 60s, .step = 5ms}}, whole{whole_machine} {
    // Named as the store names it, so that it is made into a disk once, as images of the store are.
    const auto root = node.top() / std::string(64, '0');
    fs::create_directories(root / "bin");
    fs::create_directories(root / "sbin");
    fs::copy_file("/bin/busybox", root / "bin/busybox");
    for (const auto* name : {"bin/sh", "bin/echo", "bin/sleep", "sbin/poweroff"})
      fs::create_symlink("/bin/busybox", root / name);
    const auto wanted =
        machine_settings{.data = node.data(), .monitor = make_qemu_monitor(), .accelerated = options.accelerated};
    if (const auto lacks = machine_lacks(wanted); !lacks.empty())
      throw std::runtime_error{lacks.front()};
    node.begin(make_machine_driver(wanted), root);
    fs::create_directories(node.top() / "bare");
  }

  wire::WorkloadSpec spec() const {
    auto x = wire::WorkloadSpec{};
    x.set_kind(whole ? wire::WORKLOAD_KIND_VM : wire::WORKLOAD_KIND_SANDBOX);
    for (const auto& word :
         {std::string{"/bin/sh"}, std::string{"-c"}, fmt::format("echo {}; exec sleep 1000", greeting)})
      x.mutable_program()->add_command(word);
    x.mutable_network()->set_mode("none");
    x.mutable_resources()->set_memory_bytes((whole ? 128u : 64u) << 20);
    x.mutable_resources()->set_cpu_milli(1000);
    x.set_stop_grace_ms(1);
    return x;
  }

  double through_agent() {
    return node.start(spec(), greeting, [this] { keep_machine(); });
  }

  /// What the program needs to be started by hand; the disk is fresh for each start, as the instance's is.
  void keep_machine() {
    const auto from = node.data() / "machines/start.0";
    const auto to = node.top() / "bare";
    if (fs::exists(to / "machine"))
      return;
    for (const auto* name : {"machine", "box", "base.disk"})
      fs::copy_file(from / name, to / name);
  }

  /// From the start of the program, with a disk made for it, to the workload's first output.
  double bare() {
    auto output = bench_pipe{};
    const auto here = node.top() / "bare";
    auto words = std::vector<std::string>{"env", "-C", here};
    const auto kept = host::read_file(here / "machine").value_or("");
    for (auto begin = std::size_t{0}; begin < kept.size(); begin = kept.find('\0', begin) + 1)
      words.emplace_back(kept.c_str() + begin);
    const auto begin = clock::now();
    host::run({.argv = {"env", "-C", here, "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.disk", "-F", "raw",
                        "root.disk"}});
    const auto child = host::start({.argv = words, .inherit = {output.writer()}, .dies_with_us = true});
    const auto well = output.says(greeting, 120s);
    const auto took = std::chrono::duration<double>{clock::now() - begin}.count();
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    ::close(child.pidfd);
    if (!well)
      throw std::runtime_error{"the machine gave no output when it was started by hand"};
    return took;
  }
};

} // namespace

std::map<std::string, bench_figure> bench_machine(const bench_options& options, bool whole) {
  auto one = bench{options, whole};
  return compare_starts(
      options.rounds, "the same QEMU by hand", [&] { return one.through_agent(); }, [&] { return one.bare(); });
}

} // namespace novacron::workload
