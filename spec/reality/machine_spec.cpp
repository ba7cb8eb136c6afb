#include "actors/host/files.hpp"
#include "actors/host/resolver.hpp"
#include "actors/workload/instance_directory.hpp"
#include "spec/reality/beyond.hpp"
#include "spec/reality/container_kit.hpp"
#include "spec/skip.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

wire::Instance machine(const std::string& name, const std::string& script, wire::WorkloadKind kind,
                       wire::RestartWhen when = wire::RESTART_WHEN_NEVER) {
  auto x = instance(name, script);
  x.mutable_spec()->set_kind(kind);
  x.mutable_spec()->mutable_restart()->set_when(when);
  x.mutable_spec()->mutable_restart()->set_delay_ms(20);
  x.mutable_spec()->set_stop_grace_ms(20'000);
  return x;
}

wire::Instance sandbox(const std::string& name, const std::string& script) {
  return machine(name, script, wire::WORKLOAD_KIND_SANDBOX);
}

/// A disk whose boot loader says `words` on the first serial line, then stops the processor for good.
std::string boot_disk(const std::string& words) {
  // mov si, words; next: lodsb; test al, al; jz end; mov dx, 0x3f8; out dx, al; jmp next; end: cli; hlt; jmp end
  auto code =
      std::string{"\x31\xc0\x8e\xd8\xbe\x00\x7c\xac\x84\xc0\x74\x06\xba\xf8\x03\xee\xeb\xf5\xfa\xf4\xeb\xfc", 22};
  const auto address = 0x7c00 + code.size();
  code[5] = static_cast<char>(address & 255);
  code[6] = static_cast<char>(address >> 8);
  code += words + '\0';
  code.resize(510);
  code += "\x55\xaa";
  code.resize(1 << 20);
  return code;
}

std::string fetch(const std::string& address, int port) {
  const auto fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto where = sockaddr_in{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, address.c_str(), &where.sin_addr);
  const auto limit = timeval{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  auto answer = std::string{};
  const auto request = std::string{"GET /index.html HTTP/1.0\r\n\r\n"};
  if (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    auto block = std::array<char, 4096>{};
    for (auto count = ::recv(fd, block.data(), block.size(), 0); count > 0;
         count = ::recv(fd, block.data(), block.size(), 0))
      answer.append(block.data(), static_cast<std::size_t>(count));
  }
  ::close(fd);
  return answer;
}

/// The process of the machine, as its directory names it.
pid_t process_of(const fs::path& data, const std::string& name) {
  const auto found = workload::instance_directory{data / "machines" / name}.container();
  return found ? found->pid : -1;
}

bool says(const fs::path& data, const std::string& name, const std::string& words) {
  auto all = std::string{};
  auto error = std::error_code{};
  for (const auto& each : fs::directory_iterator{data / "machines" / name / "log", error})
    all += host::read_file(each.path()).value_or("");
  return all.find(words) != all.npos;
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("an image runs in a sandbox as it runs in a container") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  auto x =
      sandbox("box.0", "trap 'echo bye; exit 4' TERM; echo $NOVACRON_INSTANCE; hostname; echo err >&2; touch /mark; "
                       "httpd -h /www; while :; do sleep 0.1; done");
  x.mutable_spec()->mutable_restart()->set_when(wire::RESTART_WHEN_ALWAYS);
  const auto bridged = here.driver->abilities().bridge;
  if (bridged) {
    x.mutable_spec()->mutable_network()->set_mode("bridge");
    auto& port = *x.mutable_spec()->mutable_network()->add_ports();
    port.set_host(19'731);
    port.set_inside(80);
    x.mutable_spec()->mutable_health()->set_port(80);
    x.mutable_spec()->mutable_health()->set_http_path("/index.html");
  }
  here.assign({x});
  const auto up = here.await("box.0", wire::PHASE_RUNNING);
  CHECK(eventually([&] { return here.log("box.0") == "box.0\nbox.0\nerr\n"; }, 120s));
  // Processes, with pipes and with a terminal.
  CHECK(here.exec("box.0", {"/bin/sh", "-c", "cat; exit 5"}, false, "through\n") ==
        std::pair{std::string{"through\n"}, 5});
  CHECK(here.exec("box.0", {"sh", "-c", "tty; stty size"}, true).first == "/dev/pts/0\r\n33 99\r\n");
  const auto many = here.exec("box.0", {"sh", "-c", "yes 0123456789 | head -n 20000"}).first;
  CHECK(many.size() == 20'000 * 11);
  CHECK(here.exec("box.0", {"sh", "-c", "[ -e /mark ] && hostname"}).first == "box.0\n");
  if (bridged) {
    CHECK(fetch(up.address(), 80).find("hello") != std::string::npos);
    CHECK(fetch("127.0.0.1", 19'731).find("hello") != std::string::npos);
    const auto far = beyond{here.place.root() / "www"};
    CHECK(here.exec("box.0", {"sh", "-c", "timeout 20 wget -q -O - http://198.51.100.2/index.html"}).first == "hello\n");
    CHECK(here.exec("box.0", {"sh", "-c", "timeout 20 wget -q -O - http://$(hostname)/index.html"}).first == "hello\n");
    CHECK(here.exec("box.0", {"cat", "/etc/resolv.conf"}).first == to_text(host::find_resolver()));
    here.await("box.0", [](const auto& now) { return now.health() == "passing"; });
  }
  here.await("box.0",
             [](const auto& now) { return now.used().memory_bytes() > (32 << 20) && now.cpu_usec() > 100'000; });
  // It stands still, and goes on.
  auto order = wire::PauseInstance{};
  order.set_instance("box.0");
  order.set_paused(true);
  here.ask<wire::Done>(order);
  CHECK(here.status("box.0").phase() == wire::PHASE_PAUSED);
  order.set_paused(false);
  here.ask<wire::Done>(order);
  CHECK(here.exec("box.0", {"echo", "on"}).first == "on\n");
  // A node that is killed before it has written down that it stands still has told nobody.
  order.set_paused(true);
  here.ask<wire::Done>(order);
  here.end();
  const auto kept = workload::instance_directory{here.place.data() / "machines/box.0"};
  auto record = kept.status();
  CHECK(record.phase() == wire::PHASE_PAUSED);
  record.set_phase(wire::PHASE_RUNNING);
  kept.write(record);
  here.begin();
  here.await("box.0", wire::PHASE_RUNNING);
  std::this_thread::sleep_for(2s);
  CHECK(here.exec("box.0", {"echo", "on"}).first == "on\n");
  // It ends in its own way, and comes back with what it had written.
  auto again = wire::RestartInstance{};
  again.set_instance("box.0");
  here.ask<wire::Done>(again);
  here.await("box.0", [](const auto& now) { return now.restarts() == 1 && now.phase() == wire::PHASE_RUNNING; });
  CHECK(eventually([&] { return here.log("box.0").find("bye\nbox.0\n") != std::string::npos; }, 120s));
}

SCENARIO("how a sandbox ended is known") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  auto memory = sandbox("memory.0", "");
  memory.mutable_spec()->mutable_program()->clear_command();
  for (const auto* word : {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"})
    memory.mutable_spec()->mutable_program()->add_command(word);
  memory.mutable_spec()->mutable_resources()->set_memory_bytes(16 << 20);
  auto missing = sandbox("missing.0", "");
  missing.mutable_spec()->mutable_program()->clear_command();
  missing.mutable_spec()->mutable_program()->add_command("/no/such");
  auto user = sandbox("user.0", "id -u; touch /x; exit 7");
  user.mutable_spec()->mutable_program()->set_user("1000:1000");
  here.assign({memory, missing, user});
  const auto large = here.await("memory.0", wire::PHASE_FAILED);
  CHECK(large.exit_code() == 137);
  CHECK(large.reason() == "ran out of memory: the kernel killed it at its limit");
  const auto lost = here.await("missing.0", wire::PHASE_FAILED);
  CHECK(lost.exit_code() == 125);
  CHECK(lost.reason() == "could not be started: /no/such: No such file or directory");
  const auto ended = here.await("user.0", wire::PHASE_FAILED);
  CHECK(ended.exit_code() == 7);
  CHECK(ended.reason() == "ended with exit code 7");
  CHECK(here.log("user.0").find("1000\n") == 0);
  CHECK(here.log("user.0").find("Permission denied") != std::string::npos);
}

SCENARIO("a sandbox outlives the node's process, and is taken over") {
  if (!can_run_machines())
    return;
  auto place = ground{};
  auto node = agent_process{place};
  auto x = sandbox("life.0", "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.2; done");
  x.mutable_spec()->mutable_restart()->set_when(wire::RESTART_WHEN_ALWAYS);
  const auto runs = [&] { return node.status("life.0").phase() == wire::PHASE_RUNNING; };
  node.start({x});
  REQUIRE(eventually([&] { return runs() && says(place.data(), "life.0", "tick 3\n"); }, 240s));
  const auto first = process_of(place.data(), "life.0");
  node.kill();
  const auto size = [&] { return fs::file_size(place.data() / "machines/life.0/log/0"); };
  const auto before = size();
  CHECK(eventually([&] { return size() > before + 20; }, 120s));
  node.start({x});
  std::this_thread::sleep_for(2s);
  CHECK(process_of(place.data(), "life.0") == first);
  CHECK(runs());
  // Killed from outside, it is started again.
  ::kill(first, SIGKILL);
  CHECK(eventually(
      [&] { return process_of(place.data(), "life.0") > 0 && process_of(place.data(), "life.0") != first; }, 120s));
  CHECK(eventually([&] { return node.status("life.0").restarts() == 1 && runs(); }, 240s));
}

SCENARIO("a sandbox ends by itself when the node's lease is over") {
  if (!can_run_machines())
    return;
  auto place = ground{};
  auto node = agent_process{place};
  auto x = sandbox("held.0", "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.1; done");
  x.mutable_spec()->mutable_on_disconnect()->set_action(wire::ON_DISCONNECT_STOP_AFTER);
  x.mutable_spec()->mutable_on_disconnect()->set_after_ms(6000);
  node.start({x});
  REQUIRE(eventually([&] { return says(place.data(), "held.0", "up\n"); }, 240s));
  REQUIRE(eventually([&] { return node.status("held.0").phase() == wire::PHASE_RUNNING; }, 120s));
  node.kill();
  CHECK(eventually([&] { return fs::exists(place.data() / "machines/held.0/exit"); }, 120s));
  CHECK(says(place.data(), "held.0", "asked\n"));
  const auto how = workload::instance_directory{place.data() / "machines/held.0"}.how_ended();
  REQUIRE(how);
  CHECK(how->lease_over);
}

SCENARIO("a machine whose disk found no room goes on once there is room") {
  if (!can_run_machines())
    return;
  auto here = site{{}, "400m", true};
  here.assign({machine("full.0",
                       "while [ ! -e /go ]; do sleep 0.1; done; dd if=/dev/zero of=/big bs=1024k count=64; sync; "
                       "echo wrote all; sleep 1000",
                       wire::WORKLOAD_KIND_SANDBOX)});
  here.await("full.0", wire::PHASE_RUNNING);
  const auto filler = here.place.data() / "filler";
  {
    auto out = std::ofstream{filler, std::ios::binary};
    const auto block = std::string(1 << 20, 'x');
    while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  CHECK(here.exec("full.0", {"/bin/touch", "/go"}).second == 0);
  std::this_thread::sleep_for(6s);
  CHECK_FALSE(says(here.place.data(), "full.0", "wrote all"));
  fs::remove(filler);
  CHECK(eventually([&] { return says(here.place.data(), "full.0", "wrote all"); }, 60s));
  CHECK(here.status("full.0").restarts() == 0);
}

SCENARIO("an image with an init boots as a virtual machine") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  fs::create_directories(here.place.root() / "sbin");
  fs::create_directories(here.place.root() / "etc");
  fs::create_symlink("/bin/busybox", here.place.root() / "sbin/init");
  fs::create_symlink("/bin/busybox", here.place.root() / "sbin/poweroff");
  std::ofstream{here.place.root() / "etc/inittab"} << "::sysinit:/bin/echo booted\n::shutdown:/bin/echo going\n";
  auto x = machine("vm.0", "", wire::WORKLOAD_KIND_VM);
  x.mutable_spec()->mutable_program()->clear_command();
  here.assign({x});
  here.await("vm.0", wire::PHASE_RUNNING);
  CHECK(eventually([&] { return here.log("vm.0").find("booted") != std::string::npos; }, 120s));
  CHECK(here.exec("vm.0", {"/bin/sh", "-c", "echo $$; exit 6"}).second == 6);
  CHECK(here.exec("vm.0", {"/bin/hostname"}).first == "vm.0\n");
  const auto log = here.place.data() / "machines/vm.0/log/0";
  auto kept = std::string{};
  here.assign({});
  CHECK(eventually(
      [&] {
        if (auto now = host::read_file(log))
          kept = *now;
        return here.report().instances().empty();
      },
      120s));
  CHECK(kept.find("going") != std::string::npos);
}

namespace {

/// The fault of an order that is to be refused.
template <class Answer, class Order>
std::string refusal_of(site& here, const Order& order) {
  auto why = std::string{};
  (*here.self)
      ->request(here.agent, 60s, order)
      .receive([&](const Answer&) { why = "done"; }, [&](const caf::error& e) { why = explain(e).text; });
  return why;
}

} // namespace

SCENARIO("a whole disk boots as a virtual machine, and is never written") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  const auto file = here.place.root() / "disk/system.img";
  fs::create_directories(file.parent_path());
  std::ofstream{file, std::ios::binary} << boot_disk("hello from a boot loader\n");
  auto x = machine("disk.0", "", wire::WORKLOAD_KIND_VM);
  x.mutable_spec()->mutable_program()->clear_command();
  x.mutable_spec()->set_replicas(1);
  x.mutable_spec()->mutable_conversion()->set_restart(true);
  x.mutable_spec()->mutable_resources()->set_memory_bytes(128 << 20);
  x.mutable_spec()->set_stop_grace_ms(500);
  here.assign({x});
  here.await("disk.0", wire::PHASE_RUNNING);
  CHECK(eventually([&] { return here.log("disk.0").find("hello from a boot loader") != std::string::npos; }, 120s));
  // There is nothing of ours in it: it neither becomes a container nor is written down, and is told so beforehand.
  for (const auto check : {true, false}) {
    auto order = wire::ConvertInstance{};
    order.set_instance("disk.0");
    order.set_to(wire::WORKLOAD_KIND_CONTAINER);
    order.set_only_check(check);
    CHECK(refusal_of<wire::Converted>(here, order).find("it boots a whole disk") != std::string::npos);
  }
  auto order = wire::CheckpointInstance{};
  order.set_instance("disk.0");
  CHECK(refusal_of<wire::Checkpoint>(here, order).find("it boots a whole disk") != std::string::npos);
  CHECK(here.status("disk.0").phase() == wire::PHASE_RUNNING);
  CHECK_FALSE(fs::exists(here.place.data() / "instances/disk.0"));
  // It does not listen to its power button: the grace ends it.
  here.assign({});
  CHECK(eventually([&] { return here.report().instances().empty(); }, 120s));
  CHECK(host::read_file(file).value() == boot_disk("hello from a boot loader\n"));
}

SCENARIO("a machine's process can write nowhere else and has no rights") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  here.assign({sandbox("shut.0", "echo up; sleep 1000")});
  here.await("shut.0", wire::PHASE_RUNNING);
  const auto pid = process_of(here.place.data(), "shut.0");
  const auto proc = fs::path{"/proc"} / std::to_string(pid);
  const auto status = host::read_file(proc / "status").value_or("");
  CHECK(status.find("CapEff:\t0000000000000000") != std::string::npos);
  CHECK(status.find("CapBnd:\t0000000000000000") != std::string::npos);
  CHECK(status.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(status.find("Seccomp:\t2") != std::string::npos);
  CHECK(fs::read_symlink(proc / "ns/net") != fs::read_symlink("/proc/self/ns/net"));
  CHECK(fs::canonical(proc / "cwd").filename() == "shut.0");
  auto writable = std::vector<std::string>{};
  auto lines = std::istringstream{host::read_file(proc / "mountinfo").value_or("")};
  for (auto line = std::string{}; std::getline(lines, line);) {
    auto words = std::istringstream{line};
    auto skipped = std::string{}, where = std::string{}, options = std::string{};
    words >> skipped >> skipped >> skipped >> skipped >> where >> options;
    if (!options.starts_with("ro"))
      writable.push_back(where);
  }
  CHECK(writable == std::vector<std::string>{(fs::canonical(here.place.data()) / "machines/shut.0").string()});
  // What it was given, and nothing that novacron has open besides.
  for (const auto& each : fs::directory_iterator{proc / "fd"}) {
    auto error = std::error_code{};
    const auto target = fs::read_symlink(each.path(), error).string();
    CHECK_MESSAGE(target.find("novacron-shim") == target.npos, target);
    CHECK_MESSAGE(!target.ends_with("/lock"), target);
  }
}

TEST_SUITE_END();
