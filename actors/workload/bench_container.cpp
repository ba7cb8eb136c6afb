#include "actors/workload/bench_container.hpp"

#include "actors/host/cgroup.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/container_driver.hpp"
#include "actors/workload/shim_launch.hpp"
#include "messages/language.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <fcntl.h>
#include <poll.h>
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

constexpr auto limit = 30s;

double seconds(clock::duration x) { return std::chrono::duration<double>{x}.count(); }

double at(std::vector<double> values, double part) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(static_cast<double>(values.size() - 1) * part)];
}

fs::path make_root(const fs::path& where) {
  fs::create_directories(where / "bin");
  fs::copy_file("/bin/busybox", where / "bin/busybox");
  fs::create_symlink("busybox", where / "bin/echo");
  return where;
}

/// A node's agent on fresh ground, and crun beside it.
struct bench {
  fs::path top;
  fs::path root;
  caf::actor_system_config settings;
  std::unique_ptr<caf::actor_system> system;
  std::shared_ptr<container_driver> driver;
  agent_actor agent;
  shim_launch shim;
  host::cgroup_layout layout = host::find_cgroups();
  std::uint64_t revision = 0;

  explicit bench(const bench_options& options) {
    auto pattern = (options.scratch / "novacron-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error{"cannot make a directory below " + options.scratch.string()};
    top = pattern;
    root = options.root.empty() ? make_root(top / "root") : options.root;
    add_language(settings);
    system = std::make_unique<caf::actor_system>(settings);
    driver = make_container_driver({.data = top / "data"});
    agent = spawn_agent(*system, {.node = "bench", .data = top / "data"}, driver, access_to(root), {});
    fs::create_directories(top / "bundle");
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
    spec.set_kind(wire::WORKLOAD_KIND_BATCH);
    spec.mutable_program()->add_command("/bin/echo");
    spec.mutable_program()->add_command("up");
    spec.mutable_resources()->set_memory_bytes(64 << 20);
    spec.mutable_resources()->set_cpu_milli(1000);
    return x;
  }

  template <class Answer, class Question>
  Answer ask(caf::scoped_actor& self, const Question& x) {
    auto answer = Answer{};
    self->request(agent, limit, x).receive([&](const Answer& y) { answer = y; },
                                           [](const caf::error& e) { throw std::runtime_error{explain(e).text}; });
    return answer;
  }

  /// From the order to the first byte of output, as a client of the agent sees it.
  double through_agent() {
    auto self = caf::scoped_actor{*system};
    const auto wanted = order(true);
    auto output = wire::LogRequest{};
    output.set_instance("start.0");
    output.set_wait_ms(20'000);
    const auto begin = clock::now();
    caf::anon_send(agent, wanted);
    const auto chunk = ask<wire::LogChunk>(self, output);
    const auto took = seconds(clock::now() - begin);
    if (chunk.data() != "up\n") {
      const auto seen = ask<wire::NodeReport>(self, wire::ReportRequest{});
      throw std::runtime_error{"the container did not run: " + seen.ShortDebugString()};
    }
    // The bundle stays for crun.
    copy_bundle();
    ask<wire::Done>(self, order(false));
    while (!ask<wire::NodeReport>(self, wire::ReportRequest{}).instances().empty())
      std::this_thread::sleep_for(1ms);
    return took;
  }

  /// The same config.json and network files, over a root that crun can use without an overlay.
  void copy_bundle() {
    const auto target = top / "bundle" / "config.json";
    if (fs::exists(target))
      return;
    const auto here = fs::canonical(top / "data") / "instances" / "start.0";
    auto text = host::run({.argv = {"cat", here / "bundle/config.json"}}).out;
    const auto replace = [&](const std::string& from, const std::string& to) {
      for (auto at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
        text.replace(at, from.size(), to);
    };
    replace(here / "root", fs::canonical(root));
    replace(here / "etc", fs::canonical(top) / "bundle");
    for (const auto& file : fs::directory_iterator{here / "etc"})
      fs::copy(file, top / "bundle" / file.path().filename());
    auto* file = std::fopen(target.c_str(), "w");
    std::fputs(text.c_str(), file);
    std::fclose(file);
  }

  /// From the start of `crun run` to its first byte of output.
  double bare() {
    auto ends = std::array<int, 2>{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw std::runtime_error{"cannot make a pipe"};
    auto words = shim.inside(layout.beside.string());
    words.insert(words.end(), {"crun", "--root", top / "crun", "--cgroup-manager=cgroupfs", "run", "-b",
                               top / "bundle", "novacron-bench"});
    const auto begin = clock::now();
    const auto child = host::start({.argv = words, .out = ends[1], .err = 2});
    ::close(ends[1]);
    auto ready = pollfd{ends[0], POLLIN, 0};
    ::poll(&ready, 1, 30'000);
    char byte = 0;
    const auto count = ::read(ends[0], &byte, 1);
    const auto took = seconds(clock::now() - begin);
    ::close(ends[0]);
    auto ended = pollfd{child.pidfd, POLLIN, 0};
    ::poll(&ended, 1, 30'000);
    ::close(child.pidfd);
    ::waitpid(child.pid, nullptr, 0);
    if (count != 1)
      throw std::runtime_error{"bare crun gave no output"};
    return took;
  }
};

} // namespace

std::map<std::string, bench_figure> bench_container(const bench_options& options) {
  auto one = bench{options};
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
    return bench_figure{own, "s", "bare crun", peer, own / peer};
  };
  auto overhead = figure(0.5);
  overhead.value -= overhead.peer_value;
  return {{"start_p50", figure(0.5)}, {"start_p95", figure(0.95)}, {"overhead_p50", overhead}};
}

} // namespace novacron::workload
