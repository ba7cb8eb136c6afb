#include "actors/workload/bench_container.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/machine_driver.hpp"
#include "actors/workload/qemu_monitor.hpp"
#include "messages/language.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <thread>
#include <vector>

#include <fmt/format.h>

namespace novacron::workload {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto limit = 120s;
constexpr auto greeting = "up and running";

double seconds(clock::duration x) {
  return std::chrono::duration<double>{x}.count();
}

double at(std::vector<double> values, double part) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * part)];
}

/// A node's agent on fresh ground, and the machine's program beside it.
struct bench {
  fs::path top;
  fs::path root;
  bool whole;
  caf::actor_system_config settings;
  std::unique_ptr<caf::actor_system> system;
  std::shared_ptr<workload::driver> driver;
  agent_actor agent;
  std::uint64_t revision = 0;

  bench(const bench_options& options, bool whole_machine) : whole{whole_machine} {
    auto pattern = (options.scratch / "novacron-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error{"cannot make a directory below " + options.scratch.string()};
    top = fs::canonical(pattern);
    // Named as the store names it, so that it is made into a disk once, as images of the store are.
    root = top / std::string(64, '0');
    fs::create_directories(root / "bin");
    fs::create_directories(root / "sbin");
    fs::copy_file("/bin/busybox", root / "bin/busybox");
    for (const auto* name : {"bin/sh", "bin/echo", "bin/sleep", "sbin/poweroff"})
      fs::create_symlink("/bin/busybox", root / name);
    const auto wanted =
        machine_settings{.data = top / "data", .monitor = make_qemu_monitor(), .accelerated = options.accelerated};
    if (const auto lacks = machine_lacks(wanted); !lacks.empty())
      throw std::runtime_error{lacks.front()};
    add_language(settings);
    system = std::make_unique<caf::actor_system>(settings);
    driver = make_machine_driver(wanted);
    agent = spawn_agent(*system, {.node = "bench", .data = top / "data"}, driver, access_to(root), {});
    fs::create_directories(top / "bare");
  }

  ~bench() {
    caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
    agent = agent_actor{};
    system.reset();
    driver.reset();
    auto error = std::error_code{};
    fs::remove_all(top, error);
  }

  wire::Assign order(bool with_instance) {
    auto x = wire::Assign{};
    x.set_node("bench");
    x.set_revision(++revision);
    if (!with_instance)
      return x;
    auto& one = *x.add_instances();
    one.set_name("start.0");
    one.set_workload("start");
    one.set_epoch(revision);
    one.set_node("bench");
    auto& spec = *one.mutable_spec();
    spec.set_kind(whole ? wire::WORKLOAD_KIND_VM : wire::WORKLOAD_KIND_SANDBOX);
    for (const auto& word :
         {std::string{"/bin/sh"}, std::string{"-c"}, fmt::format("echo {}; exec sleep 1000", greeting)})
      spec.mutable_program()->add_command(word);
    spec.mutable_network()->set_mode("none");
    spec.mutable_resources()->set_memory_bytes((whole ? 128u : 64u) << 20);
    spec.mutable_resources()->set_cpu_milli(1000);
    spec.set_stop_grace_ms(1);
    return x;
  }

  template <class Answer, class Question>
  Answer ask(caf::scoped_actor& self, const Question& x) {
    auto answer = Answer{};
    self->request(agent, limit, x)
        .receive([&](const Answer& y) { answer = y; },
                 [](const caf::error& e) { throw std::runtime_error{explain(e).text}; });
    return answer;
  }

  /// From the order to the workload's first output, as a client of the agent sees it.
  double through_agent() {
    auto self = caf::scoped_actor{*system};
    const auto wanted = order(true);
    auto output = wire::LogRequest{};
    output.set_instance("start.0");
    output.set_wait_ms(60'000);
    const auto begin = clock::now();
    caf::anon_send(agent, wanted);
    auto said = std::string{};
    while (said.find(greeting) == said.npos) {
      const auto chunk = ask<wire::LogChunk>(self, output);
      if (chunk.data().empty())
        throw std::runtime_error{"the machine said nothing: " +
                                 ask<wire::NodeReport>(self, wire::ReportRequest{}).ShortDebugString()};
      said += chunk.data();
      output.set_offset(chunk.next_offset());
    }
    const auto took = seconds(clock::now() - begin);
    keep_machine();
    ask<wire::Done>(self, order(false));
    while (!ask<wire::NodeReport>(self, wire::ReportRequest{}).instances().empty())
      std::this_thread::sleep_for(5ms);
    return took;
  }

  /// What the program needs to be started by hand; the disk is fresh for each start, as the instance's is.
  void keep_machine() {
    const auto from = top / "data/machines/start.0";
    if (fs::exists(top / "bare/machine"))
      return;
    for (const auto* name : {"machine", "box", "base.disk"})
      fs::copy_file(from / name, top / "bare" / name);
  }

  /// From the start of the program, with a disk made for it, to the workload's first output.
  double bare() {
    auto ends = std::array<int, 2>{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw std::runtime_error{"cannot make a pipe"};
    auto words = std::vector<std::string>{"env", "-C", top / "bare"};
    const auto kept = host::read_file(top / "bare/machine").value_or("");
    for (auto begin = std::size_t{0}; begin < kept.size(); begin = kept.find('\0', begin) + 1)
      words.emplace_back(kept.c_str() + begin);
    const auto begin = clock::now();
    host::run({.argv = {"env", "-C", top / "bare", "qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.disk", "-F",
                        "raw", "root.disk"}});
    const auto child = host::start({.argv = words, .inherit = {ends[1]}, .dies_with_us = true});
    ::close(ends[1]);
    auto said = std::string{};
    auto block = std::array<char, 4096>{};
    while (said.find(greeting) == said.npos) {
      auto ready = pollfd{ends[0], POLLIN, 0};
      const auto count = ::poll(&ready, 1, 120'000) == 1 ? ::read(ends[0], block.data(), block.size()) : 0;
      if (count <= 0)
        break;
      said.append(block.data(), static_cast<std::size_t>(count));
    }
    const auto took = seconds(clock::now() - begin);
    ::close(ends[0]);
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    ::close(child.pidfd);
    if (said.find(greeting) == said.npos)
      throw std::runtime_error{"the machine gave no output when it was started by hand"};
    return took;
  }
};

} // namespace

std::map<std::string, bench_figure> bench_machine(const bench_options& options, bool whole) {
  auto one = bench{options, whole};
  one.through_agent();
  one.bare();
  auto ours = std::vector<double>{};
  auto theirs = std::vector<double>{};
  for (auto i = 0; i < options.rounds; ++i) {
    ours.push_back(one.through_agent());
    theirs.push_back(one.bare());
  }
  const auto figure = [&](double part) {
    const auto own = at(ours, part);
    const auto peer = at(theirs, part);
    return bench_figure{own, "s", "the same QEMU by hand", peer, own / peer};
  };
  auto overhead = figure(0.5);
  overhead.value -= overhead.peer_value;
  return {{"start_p50", figure(0.5)}, {"start_p95", figure(0.95)}, {"overhead_p50", overhead}};
}

} // namespace novacron::workload
