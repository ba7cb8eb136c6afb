#include "actors/host/cgroup.hpp"
#include "actors/host/files.hpp"
#include "actors/host/netlink.hpp"
#include "actors/host/process.hpp"
#include "actors/workload/agent_actor.hpp"
#include "actors/workload/bench_container.hpp"
#include "actors/workload/container_driver.hpp"
#include "messages/language.hpp"

#include <arpa/inet.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <random>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

bool can_run() {
  const auto able = ::geteuid() == 0 && fs::exists("/bin/busybox") && fs::exists("/usr/bin/crun");
  if (!able)
    MESSAGE("skipped: containers need root, crun and a static /bin/busybox");
  return able;
}

/// A fresh directory with a busybox root in it.
struct ground {
  fs::path top;
  ground() {
    auto pattern = std::string{"/var/tmp/novacron-spec-XXXXXX"};
    top = ::mkdtemp(pattern.data());
    fs::create_directories(root() / "bin");
    fs::create_directories(root() / "www");
    fs::copy_file("/bin/busybox", root() / "bin/busybox");
    for (const auto* name : {"sh", "sleep", "cat", "echo", "dd", "yes", "head", "httpd", "rm", "tty", "stty", "true"})
      fs::create_symlink("busybox", root() / "bin" / name);
    std::ofstream{root() / "www/index.html"} << "hello\n";
  }
  ~ground() { fs::remove_all(top); }
  [[nodiscard]] fs::path root() const { return top / "root"; }
  [[nodiscard]] fs::path data() const { return top / "data"; }
};

wire::Instance instance(const std::string& name, const std::string& script, std::uint64_t epoch = 1) {
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

/// Everything of ours that must not be left: groups, devices, mounts and shims that name `data`.
std::vector<std::string> leftovers(const fs::path& data) {
  auto found = std::vector<std::string>{};
  const auto canonical = fs::weakly_canonical(data).string();
  for (const auto& entry : fs::directory_iterator{"/proc"}) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos)
      continue;
    const auto line = host::read_file(entry.path() / "cmdline").value_or("");
    if (line.find("dir=" + canonical) != line.npos)
      found.push_back("process " + name);
  }
  if (host::read_file("/proc/self/mounts").value_or("").find(canonical) != std::string::npos)
    found.push_back("mount");
  auto tag = 2166136261u;
  for (const unsigned char x : canonical)
    tag = (tag ^ x) * 16777619u;
  const auto group = host::cgroup{host::find_cgroups(), fmt::format("/novacron/{:08x}", tag)};
  for (const auto& name : group.children())
    found.push_back("cgroup " + name);
  for (const auto& name : host::netlink{}.names())
    if (name.starts_with(fmt::format("nv{:08x}", tag)) || name == fmt::format("nova{:08x}", tag))
      found.push_back("device " + name);
  return found;
}

bool eventually(const std::function<bool()>& holds, duration limit = 30s) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// A node's agent in this process.
struct site {
  ground place;
  caf::actor_system_config settings;
  std::unique_ptr<caf::actor_system> system;
  std::shared_ptr<workload::container_driver> driver;
  agent_actor agent;
  std::unique_ptr<caf::scoped_actor> self;
  std::uint64_t revision = 0;

  workload::container_settings driven;

  explicit site(workload::container_settings with = {}) : driven{std::move(with)} {
    add_language(settings);
    driven.data = place.data();
    begin();
  }

  void begin() {
    system = std::make_unique<caf::actor_system>(settings);
    driver = workload::make_container_driver(driven);
    agent = workload::spawn_agent(*system, {.node = "n", .data = place.data(), .report_interval = 200ms}, driver,
                                  workload::access_to(place.root()), {});
    self = std::make_unique<caf::scoped_actor>(*system);
  }

  /// Ends everything it runs, then must have left nothing.
  ~site() {
    assign({});
    CHECK(eventually([&] { return report().instances().empty(); }));
    end();
    CHECK(eventually([&] { return leftovers(place.data()).empty(); }, 10s));
    for (const auto& each : leftovers(place.data()))
      MESSAGE("left over: " << each);
  }

  /// The agent is gone; what it runs is not.
  void end() {
    caf::anon_send_exit(agent, caf::exit_reason::user_shutdown);
    self.reset();
    agent = agent_actor{};
    system.reset();
    driver.reset();
  }

  template <class Answer, class Question>
  Answer ask(const Question& x) {
    auto answer = Answer{};
    (*self)->request(agent, 70s, x).receive([&](const Answer& y) { answer = y; },
                                            [&](const caf::error& e) { FAIL_CHECK(explain(e).text); });
    return answer;
  }

  void assign(const std::vector<wire::Instance>& all) {
    auto order = wire::Assign{};
    order.set_node("n");
    order.set_revision(++revision);
    for (const auto& each : all)
      *order.add_instances() = each;
    ask<wire::Done>(order);
  }

  wire::NodeReport report() { return ask<wire::NodeReport>(wire::ReportRequest{}); }

  wire::InstanceStatus status(const std::string& name) {
    const auto all = report();
    for (const auto& each : all.instances())
      if (each.name() == name)
        return each;
    return {};
  }

  wire::InstanceStatus await(const std::string& name, const std::function<bool(const wire::InstanceStatus&)>& good) {
    auto last = wire::InstanceStatus{};
    const auto came = eventually([&] { return good(last = status(name)); });
    INFO(last.ShortDebugString());
    CHECK(came);
    return last;
  }
  wire::InstanceStatus await(const std::string& name, wire::Phase phase) {
    return await(name, [&](const auto& x) { return x.phase() == phase; });
  }

  std::string log(const std::string& name, std::int64_t offset = 0) {
    auto x = wire::LogRequest{};
    x.set_instance(name);
    x.set_offset(offset);
    x.set_limit(512 << 10);
    return ask<wire::LogChunk>(x).data();
  }

  /// The whole output of a command run inside, and its exit code.
  std::pair<std::string, int> exec(const std::string& name, std::vector<std::string> command, bool terminal = false,
                                   const std::string& input = {}) {
    auto start = wire::ExecStart{};
    start.set_instance(name);
    start.mutable_command()->Assign(command.begin(), command.end());
    start.set_terminal(terminal);
    start.set_rows(33);
    start.set_columns(99);
    auto next = wire::ExecExchange{};
    next.set_session(ask<wire::ExecSession>(start).session());
    next.set_input(input);
    next.set_input_ended(!terminal);
    next.set_wait_ms(5000);
    auto out = std::string{};
    for (auto i = 0; i < 100; ++i) {
      const auto now = ask<wire::ExecOutput>(next);
      out += now.output() + now.errors();
      if (now.exited())
        return {out, now.exit_code()};
      next.clear_input();
      next.clear_input_ended();
    }
    return {out, -1};
  }
};

std::string http_get(const std::string& address, int port) {
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto where = sockaddr_in{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &where.sin_addr);
  const auto limit = timeval{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  auto answer = std::string{};
  if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0) {
    const auto request = std::string{"GET /index.html HTTP/1.0\r\n\r\n"};
    ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char block[4096];
    for (auto count = ::recv(fd, block, sizeof block, 0); count > 0; count = ::recv(fd, block, sizeof block, 0))
      answer.append(block, static_cast<std::size_t>(count));
  }
  ::close(fd);
  return answer;
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a batch instance runs once, and its end and output are kept") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({batch("good.0", "echo out; echo err >&2; echo $NOVACRON_ORDINAL $NOVACRON_INSTANCE"),
               batch("bad.0", "exit 7"), batch("wrong.0", "exec /no/such")});
  CHECK(here.await("good.0", wire::PHASE_COMPLETED).exit_code() == 0);
  CHECK(here.log("good.0") == "out\nerr\n0 good.0\n");
  const auto bad = here.await("bad.0", wire::PHASE_FAILED);
  CHECK(bad.exit_code() == 7);
  CHECK(bad.reason() == "ended with exit code 7");
  CHECK(bad.restarts() == 0);
  CHECK(here.await("wrong.0", wire::PHASE_FAILED).exit_code() == 127);
}

SCENARIO("limits bite") {
  if (!can_run())
    return;
  auto here = site{{.pids_max = 16}};
  auto cpu = instance("cpu.0", "while :; do :; done");
  cpu.mutable_spec()->mutable_resources()->set_cpu_milli(200);
  auto memory = batch("memory.0", "");
  memory.mutable_spec()->mutable_program()->clear_command();
  for (const auto* word : {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"})
    memory.mutable_spec()->mutable_program()->add_command(word);
  memory.mutable_spec()->mutable_resources()->set_memory_bytes(16 << 20);
  auto pids = batch("pids.0", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1 & done; echo all");
  here.assign({cpu, memory, pids});
  here.await("cpu.0", [](const auto& x) { return x.cpu_usec() > 100'000; });
  const auto first = here.status("cpu.0").cpu_usec();
  std::this_thread::sleep_for(2s);
  const auto spent = here.status("cpu.0").cpu_usec() - first;
  MESSAGE("processor time of 2 s at 200 milli: " << spent << " us");
  CHECK(spent > 100'000);
  CHECK(spent < 640'000);
  const auto large = here.await("memory.0", wire::PHASE_FAILED);
  CHECK(large.exit_code() == 137);
  CHECK(large.reason() == "ran out of memory: the kernel killed it at its limit");
  here.await("pids.0", [](const auto& x) { return x.phase() == wire::PHASE_FAILED || x.phase() == wire::PHASE_COMPLETED; });
  CHECK(here.log("pids.0").find("can't fork") != std::string::npos);
}

SCENARIO("a flood of output does not fill the disk") {
  if (!can_run())
    return;
  auto here = site{{.log_segment_bytes = 64 << 10, .log_segments = 4}};
  here.assign({batch("flood.0", "yes novacron | head -c 8000000; echo; echo last")});
  here.await("flood.0", wire::PHASE_COMPLETED);
  auto kept = std::uintmax_t{0};
  for (const auto& entry : fs::directory_iterator{here.driver->logs("flood.0")})
    kept += entry.file_size();
  CHECK(kept <= 4 * ((64 << 10) + 65536));
  CHECK(here.log("flood.0", -5) == "last\n");
  CHECK(here.log("flood.0", 0).size() > 0);
}

SCENARIO("output is followed as it comes") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({batch("slow.0", "echo one; sleep 1; echo two")});
  auto ask = wire::LogRequest{};
  ask.set_instance("slow.0");
  ask.set_wait_ms(20'000);
  auto seen = std::string{};
  for (auto ended = false; !ended;) {
    const auto chunk = here.ask<wire::LogChunk>(ask);
    seen += chunk.data();
    ask.set_offset(chunk.next_offset());
    ended = chunk.ended();
  }
  CHECK(seen == "one\ntwo\n");
}

SCENARIO("one works inside a container, with pipes and with a terminal") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({instance("box.0", "echo up; sleep 1000")});
  here.await("box.0", wire::PHASE_RUNNING);
  CHECK(here.exec("box.0", {"/bin/sh", "-c", "cat; exit 5"}, false, "typed") == std::pair{std::string{"typed"}, 5});
  const auto [shown, code] = here.exec("box.0", {"/bin/sh", "-c", "tty; sleep 0.3; stty size"}, true);
  CHECK(code == 0);
  CHECK(shown.find("/dev/pts/") != std::string::npos);
  CHECK(shown.find("33 99") != std::string::npos);
}

SCENARIO("what runs is paused, resumed and resized") {
  if (!can_run())
    return;
  auto here = site{};
  auto busy = instance("busy.0", "while :; do :; done");
  busy.mutable_spec()->mutable_resources()->set_cpu_milli(300);
  busy.mutable_spec()->mutable_resources()->set_memory_bytes(32 << 20);
  here.assign({busy});
  here.await("busy.0", [](const auto& x) { return x.cpu_usec() > 50'000; });
  auto pause = wire::PauseInstance{};
  pause.set_instance("busy.0");
  pause.set_paused(true);
  here.ask<wire::Done>(pause);
  here.await("busy.0", wire::PHASE_PAUSED);
  std::this_thread::sleep_for(500ms);
  const auto still = here.status("busy.0").cpu_usec();
  std::this_thread::sleep_for(500ms);
  CHECK(here.status("busy.0").cpu_usec() == still);
  pause.set_paused(false);
  here.ask<wire::Done>(pause);
  here.await("busy.0", [&](const auto& x) { return x.phase() == wire::PHASE_RUNNING && x.cpu_usec() > still; });
  auto resize = wire::ResizeInstance{};
  resize.set_instance("busy.0");
  resize.mutable_resources()->set_cpu_milli(50);
  resize.mutable_resources()->set_memory_bytes(64 << 20);
  here.ask<wire::Done>(resize);
  here.await("busy.0", [](const auto& x) { return x.used().cpu_milli() > 0 && x.used().cpu_milli() < 120; });
}

SCENARIO("an end is asked for, and made when it does not come") {
  if (!can_run())
    return;
  auto here = site{};
  auto polite = instance("polite.0", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done");
  auto deaf = instance("deaf.0", "trap '' TERM; echo up; while :; do sleep 0.1; done");
  deaf.mutable_spec()->set_stop_grace_ms(700);
  here.assign({polite, deaf});
  for (const auto* name : {"polite.0", "deaf.0"})
    CHECK(eventually([&] { return here.log(name) == "up\n"; }));
  const auto begin = std::chrono::steady_clock::now();
  here.assign({polite});
  CHECK(eventually([&] { return here.status("deaf.0").name().empty(); }));
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  here.ask<wire::Done>([] {
    auto x = wire::RestartInstance{};
    x.set_instance("polite.0");
    return x;
  }());
  CHECK(eventually([&] { return here.log("polite.0") == "up\nbye\nup\n"; }));
}

SCENARIO("what fails is started again, ever later") {
  if (!can_run())
    return;
  auto here = site{};
  auto broken = instance("broken.0", "echo try; exit 3");
  broken.mutable_spec()->mutable_restart()->set_delay_ms(50);
  broken.mutable_spec()->mutable_restart()->set_limit(3);
  here.assign({broken});
  const auto last = here.await("broken.0", wire::PHASE_FAILED);
  CHECK(last.restarts() == 3);
  CHECK(last.exit_code() == 3);
  CHECK(here.log("broken.0") == "try\ntry\ntry\ntry\n");
}

SCENARIO("a web server is reached at its own address and at a port of the host, and watched") {
  if (!can_run())
    return;
  auto here = site{};
  if (!here.driver->abilities().bridge) {
    MESSAGE("skipped: no bridge here");
    return;
  }
  auto web = instance("web.0", "httpd -f -p 80 -h /www");
  web.mutable_spec()->mutable_network()->set_mode("bridge");
  auto& port = *web.mutable_spec()->mutable_network()->add_ports();
  port.set_host(18'467);
  port.set_inside(80);
  auto& check = *web.mutable_spec()->mutable_health();
  check.set_http_path("/index.html");
  check.set_port(80);
  check.set_interval_ms(100);
  check.set_failures(2);
  here.assign({web});
  const auto up = here.await("web.0", [](const auto& x) { return x.health() == "passing"; });
  CHECK(http_get(up.address(), 80).ends_with("hello\n"));
  CHECK(http_get("127.0.0.1", 18'467).ends_with("hello\n"));
  here.exec("web.0", {"/bin/rm", "/www/index.html"});
  const auto again = here.await("web.0", [](const auto& x) { return x.restarts() > 0; });
  CHECK(again.address() == up.address());
}

SCENARIO("what a new agent takes over is still reached at its address") {
  if (!can_run())
    return;
  auto here = site{};
  if (!here.driver->abilities().bridge) {
    MESSAGE("skipped: no bridge here");
    return;
  }
  auto web = instance("web.0", "httpd -f -p 80 -h /www");
  web.mutable_spec()->mutable_network()->set_mode("bridge");
  auto& check = *web.mutable_spec()->mutable_health();
  check.set_http_path("/index.html");
  check.set_port(80);
  check.set_interval_ms(100);
  check.set_failures(2);
  const auto passing = [](const auto& x) { return x.health() == "passing"; };
  here.assign({web});
  const auto before = here.await("web.0", passing);
  here.end();
  CHECK(http_get(before.address(), 80).ends_with("hello\n"));
  here.begin();
  here.assign({web});
  const auto after = here.await("web.0", passing);
  CHECK(after.restarts() == 0);
  CHECK(after.started_ms() == before.started_ms());
  CHECK(http_get(before.address(), 80).ends_with("hello\n"));
}

SCENARIO("another edition takes the place of the one that runs") {
  if (!can_run())
    return;
  auto here = site{};
  here.assign({instance("one.0", "echo first; sleep 1000", 1)});
  here.await("one.0", wire::PHASE_RUNNING);
  here.assign({instance("one.0", "echo second; sleep 1000", 2)});
  here.await("one.0", [](const auto& x) { return x.epoch() == 2 && x.phase() == wire::PHASE_RUNNING; });
  CHECK(eventually([&] { return here.log("one.0") == "second\n"; }));
}

SCENARIO("a host that is killed at any moment leaves its containers running, and its successor takes them over") {
  if (!can_run())
    return;
  auto place = ground{};
  auto chance = std::mt19937{7};
  const auto start = [&](int rising) {
    auto order = wire::Assign{};
    order.set_node("n");
    order.set_revision(static_cast<std::uint64_t>(rising));
    for (auto i = 0; i < 4; ++i) {
      auto each = instance(fmt::format("w.{}", i), "echo up; exec sleep 1000", static_cast<std::uint64_t>(1 + rising / 8));
      if (i < 2)
        each.mutable_spec()->mutable_network()->set_mode("bridge");
      *order.add_instances() = each;
    }
    std::ofstream{place.top / "assign"} << to_json(order);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    auto child = host::start({.argv = {AGENT_HOST, place.data(), place.root(), place.top / "assign"}, .in = ends[0], .err = 2});
    ::close(ends[0]);
    return std::pair{child, ends[1]};
  };
  const auto running = [&] {
    auto count = 0;
    auto tag = 2166136261u;
    for (const unsigned char x : fs::canonical(place.data()).string())
      tag = (tag ^ x) * 16777619u;
    for (auto i = 0; i < 4; ++i)
      count += static_cast<int>(
          host::cgroup{host::find_cgroups(), fmt::format("/novacron/{:08x}/w.{}", tag, i)}.members().size() == 1);
    return count;
  };
  for (auto i = 1; i <= 20; ++i) {
    auto [child, input] = start(i);
    std::this_thread::sleep_for(std::chrono::microseconds{std::uniform_int_distribution{1000, 700'000}(chance)});
    ::kill(child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    ::close(child.pidfd);
    ::close(input);
  }
  auto [child, input] = start(21);
  // Exactly what is wanted runs: one process in each group, and one shim each.
  CHECK(eventually([&] { return running() == 4; }));
  auto shims = 0;
  for (const auto& each : leftovers(place.data()))
    shims += each.starts_with("process") ? 1 : 0;
  CHECK(shims == 4);
  ::close(input);
  ::waitpid(child.pid, nullptr, 0);
  ::close(child.pidfd);
  CHECK(running() == 4);
  std::ofstream{place.top / "assign"} << R"({"node": "n", "revision": 22})";
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  child = host::start({.argv = {AGENT_HOST, place.data(), place.root(), place.top / "assign"}, .in = ends[0], .err = 2});
  ::close(ends[0]);
  CHECK(eventually([&] { return fs::is_empty(place.data() / "instances"); }));
  ::close(ends[1]);
  ::waitpid(child.pid, nullptr, 0);
  ::close(child.pidfd);
  CHECK(eventually([&] { return leftovers(place.data()).empty(); }, 10s));
  for (const auto& each : leftovers(place.data()))
    MESSAGE("left over: " << each);
}

SCENARIO("a container starts little later than with crun alone") {
  if (!can_run())
    return;
  const auto figures = workload::bench_container({.rounds = 11});
  MESSAGE("start_p50 " << figures.at("start_p50").value << " s, bare crun " << figures.at("start_p50").peer_value);
  CHECK(figures.at("overhead_p50").value < 0.2);
}

TEST_SUITE_END();
