#include "actors/workload/bench_container.hpp"
#include "actors/workload/instance_directory.hpp"
#include "spec/reality/container_kit.hpp"
#include "spec/skip.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <random>
#include <thread>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

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

SCENARIO("who works inside a container is who it runs as") {
  if (!can_run())
    return;
  auto here = site{};
  auto box = instance("box.0", "id -u; sleep 1000");
  box.mutable_spec()->mutable_program()->set_user("1234:56");
  here.assign({box});
  here.await("box.0", wire::PHASE_RUNNING);
  CHECK(here.exec("box.0", {"/bin/sh", "-c", "id -u; id -g"}, false) == std::pair{std::string{"1234\n56\n"}, 0});
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
  // A node that is killed before it has written down that it is paused has told nobody.
  pause.set_paused(true);
  here.ask<wire::Done>(pause);
  const auto spent = here.status("busy.0").cpu_usec();
  here.end();
  const auto kept = workload::instance_directory{here.place.data() / "instances/busy.0"};
  auto record = kept.status();
  CHECK(record.phase() == wire::PHASE_PAUSED);
  record.set_phase(wire::PHASE_RUNNING);
  kept.write(record);
  here.begin();
  here.await("busy.0",
             [&](const auto& x) { return x.phase() == wire::PHASE_RUNNING && x.cpu_usec() > spent + 100'000; });
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
    skip("a web server at an address of its own", "no bridge here");
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
    skip("what a new agent takes over is still reached at its address", "no bridge here");
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
  auto node = agent_process{place};
  const auto start = [&](int rising) {
    auto all = std::vector<wire::Instance>{};
    for (auto i = 0; i < 4; ++i) {
      all.push_back(instance(fmt::format("w.{}", i), "echo up; exec sleep 1000", static_cast<std::uint64_t>(1 + rising / 8)));
      if (i < 2)
        all.back().mutable_spec()->mutable_network()->set_mode("bridge");
    }
    node.start(all);
  };
  const auto running = [&] {
    auto count = 0;
    for (auto i = 0; i < 4; ++i)
      count += members(place.data(), fmt::format("w.{}", i)) == 1;
    return count;
  };
  for (auto i = 1; i <= 20; ++i) {
    start(i);
    std::this_thread::sleep_for(std::chrono::microseconds{std::uniform_int_distribution{1000, 700'000}(chance)});
    node.kill();
  }
  start(21);
  // Exactly what is wanted runs: one process in each group, and one shim each. On a slow machine the last editions may
  // not have been started before.
  const auto newest = [&] {
    for (auto i = 0; i < 4; ++i)
      if (const auto now = node.status(fmt::format("w.{}", i)); now.epoch() != 3 || now.phase() != wire::PHASE_RUNNING)
        return false;
    return true;
  };
  CHECK(eventually([&] { return newest() && running() == 4; }));
  auto shims = 0;
  for (const auto& each : leftovers(place.data()))
    shims += each.starts_with("process") ? 1 : 0;
  CHECK(shims == 4);
  node.end();
  CHECK(running() == 4);
}

SCENARIO("a container starts little later than with crun alone") {
  if (!can_run())
    return;
  const auto figures = workload::bench_container({.rounds = 11});
  MESSAGE("start_p50 " << figures.at("start_p50").value << " s, bare crun " << figures.at("start_p50").peer_value);
  CHECK(figures.at("overhead_p50").value < 0.2);
}

TEST_SUITE_END();
