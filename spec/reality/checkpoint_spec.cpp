#include "actors/host/files.hpp"
#include "actors/workload/instance_directory.hpp"
#include "spec/reality/container_kit.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// Counts in its memory, and says each number.
wire::Instance counter(const std::string& name, wire::WorkloadKind kind = wire::WORKLOAD_KIND_SANDBOX) {
  auto x = instance(name, "trap 'exit 0' TERM; n=0; while :; do n=$((n+1)); echo $n; sleep 0.1; done");
  x.mutable_spec()->set_name(x.workload());
  x.mutable_spec()->set_kind(kind);
  x.mutable_spec()->mutable_restart()->set_when(wire::RESTART_WHEN_ALWAYS);
  x.mutable_spec()->mutable_resources()->set_memory_bytes((kind == wire::WORKLOAD_KIND_VM ? 128u : 64u) << 20);
  x.mutable_spec()->set_stop_grace_ms(20'000);
  return x;
}

/// The lines of a log that are numbers, as far as they are whole.
std::vector<long> numbers_in(const std::string& log) {
  auto all = std::vector<long>{};
  auto lines = std::istringstream{log.substr(0, log.rfind('\n') + 1)};
  for (auto line = std::string{}; std::getline(lines, line);) {
    if (line.ends_with('\r'))
      line.pop_back();
    if (!line.empty() && line.find_first_not_of("0123456789") == line.npos)
      all.push_back(std::stol(line));
  }
  return all;
}

long last_in(const std::string& log) {
  const auto all = numbers_in(log);
  return all.empty() ? 0 : all.back();
}

wire::CheckpointInstance written(const std::string& instance, const std::string& name, bool pause = false) {
  auto x = wire::CheckpointInstance{};
  x.set_instance(instance);
  x.set_name(name);
  x.set_pause(pause);
  return x;
}

wire::RestoreInstance back(const std::string& instance, const std::string& checkpoint) {
  auto x = wire::RestoreInstance{};
  x.set_instance(instance);
  x.set_checkpoint(checkpoint);
  return x;
}

/// The fault of an order that is to be refused.
template <class Answer, class Order>
std::string refused(site& here, const Order& order) {
  auto why = std::string{};
  (*here.self)
      ->request(here.agent, 60s, order)
      .receive([&](const Answer&) { why = "done"; }, [&](const caf::error& e) { why = explain(e).text; });
  return why;
}

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != text.npos;
}

/// What is there of checkpoints, by name; what is being made among it.
std::vector<std::string> names_in(const fs::path& data) {
  auto names = std::vector<std::string>{};
  auto error = std::error_code{};
  for (const auto& each : fs::directory_iterator{data / "checkpoints", error})
    names.push_back(each.path().filename());
  std::ranges::sort(names);
  return names;
}

/// Where the numbers fall back: the last before, and the first after. It must be once.
std::pair<long, long> fall_in(const std::vector<long>& numbers) {
  auto found = std::pair<long, long>{0, 0};
  for (auto i = std::size_t{1}; i < numbers.size(); ++i) {
    if (numbers[i] == numbers[i - 1] + 1)
      continue;
    CHECK_MESSAGE(found.second == 0, numbers[i - 1], " is followed by ", numbers[i]);
    found = {numbers[i - 1], numbers[i]};
  }
  return found;
}

void flip_byte(const fs::path& file) {
  const auto fd = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  auto byte = char{};
  const auto at = static_cast<off_t>(fs::file_size(file) / 2);
  REQUIRE(::pread(fd, &byte, 1, at) == 1);
  byte = static_cast<char>(byte ^ 1);
  REQUIRE(::pwrite(fd, &byte, 1, at) == 1);
  ::close(fd);
}

/// Counts on, is written down, counts on, is put back: then comes the number after the one of the checkpoint.
void goes_back(wire::WorkloadKind kind) {
  auto here = site{{}, {}, true};
  const auto x = counter("count.0", kind);
  here.assign({x});
  here.await("count.0", wire::PHASE_RUNNING);
  REQUIRE(eventually([&] { return last_in(here.log("count.0")) >= 5; }, 120s));
  here.exec("count.0", {"sh", "-c", "echo before > /before"});
  const auto made = here.ask<wire::Checkpoint>(written("count.0", "one"));
  MESSAGE("a checkpoint of " << (made.size_bytes() >> 20) << " MiB stood still for " << made.frozen_ms() << " ms");
  CHECK(made.name() == "one");
  CHECK(made.instance() == "count.0");
  CHECK(made.size_bytes() > 1 << 20);
  CHECK(names_in(here.place.data()) == std::vector<std::string>{"one"});
  // It runs on, and nothing of it was lost.
  const auto then = last_in(here.log("count.0").substr(0, static_cast<std::size_t>(made.log_offset())));
  REQUIRE(eventually([&] { return last_in(here.log("count.0")) > then + 20; }, 120s));
  CHECK(fall_in(numbers_in(here.log("count.0"))) == std::pair{0l, 0l});
  here.exec("count.0", {"sh", "-c", "echo after > /after; rm /before"});
  const auto done = here.ask<wire::Restored>(back("count.0", "one"));
  MESSAGE("it was away for " << done.frozen_ms() << " ms");
  CHECK(here.status("count.0").phase() == wire::PHASE_RUNNING);
  REQUIRE(eventually([&] { return fall_in(numbers_in(here.log("count.0"))).second > 0; }, 120s));
  const auto fall = fall_in(numbers_in(here.log("count.0")));
  CHECK(fall.first > then + 20);
  CHECK(fall.second == then + 1);
  CHECK(here.exec("count.0", {"sh", "-c", "cat /before; [ -e /after ] || echo gone"}).first == "before\ngone\n");
  // What is in its directory for that is gone; a restart begins with the files that it has.
  CHECK_FALSE(fs::exists(here.place.data() / "machines/count.0/restore"));
  // It was put back to a clock of then, and has the one of now.
  fs::create_symlink("busybox", here.place.root() / "bin/date");
  // Its node ends and comes back: it runs on.
  here.end();
  here.begin();
  here.assign({x});
  here.await("count.0", wire::PHASE_RUNNING);
  const auto on = last_in(here.log("count.0"));
  CHECK(eventually([&] { return last_in(here.log("count.0")) > on + 3; }, 120s));
  CHECK(here.status("count.0").restarts() == 1);
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a sandbox goes back to its checkpoint, with the number that it had") {
  if (!can_run_machines())
    return;
  goes_back(wire::WORKLOAD_KIND_SANDBOX);
}

SCENARIO("a virtual machine goes back to its checkpoint, with the number that it had") {
  if (!can_run_machines())
    return;
  goes_back(wire::WORKLOAD_KIND_VM);
}

SCENARIO("another workload that begins from a checkpoint is itself, and goes on from there") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  for (const auto* name : {"od", "date"})
    fs::create_symlink("busybox", here.place.root() / "bin" / name);
  auto x = counter("first.0");
  const auto bridged = here.driver->abilities().bridge;
  x.mutable_spec()->mutable_network()->set_mode(bridged ? "bridge" : "none");
  here.assign({x});
  here.await("first.0", wire::PHASE_RUNNING);
  REQUIRE(eventually([&] { return last_in(here.log("first.0")) >= 5; }, 120s));
  const auto made = here.ask<wire::Checkpoint>(written("first.0", ""));
  CHECK(made.name() == "first-1");
  const auto then = last_in(here.log("first.0").substr(0, static_cast<std::size_t>(made.log_offset())));
  auto other = x;
  other.set_name("second.0");
  other.set_workload("second");
  other.mutable_spec()->set_checkpoint("first-1");
  here.assign({x, other});
  const auto up = here.await("second.0", wire::PHASE_RUNNING);
  REQUIRE(eventually([&] { return last_in(here.log("second.0")) > 0; }, 120s));
  CHECK(numbers_in(here.log("second.0")).front() == then + 1);
  CHECK(here.exec("second.0", {"hostname"}).first == "second.0\n");
  CHECK(here.exec("first.0", {"hostname"}).first == "first.0\n");
  constexpr auto drawn = "head -c 16 /dev/urandom | od -An -tx1";
  CHECK(here.exec("second.0", {"sh", "-c", drawn}).first != here.exec("first.0", {"sh", "-c", drawn}).first);
  const auto now = std::chrono::duration<double>{std::chrono::system_clock::now().time_since_epoch()}.count();
  CHECK(std::abs(std::stod(here.exec("second.0", {"date", "+%s"}).first) - now) < 3);
  if (bridged) {
    const auto first = here.status("first.0").address();
    CHECK(up.address() != first);
    const auto addresses = here.exec("second.0", {"sh", "-c", "cat /etc/hosts /sys/class/net/eth0/address"}).first;
    CHECK(says(addresses, "second.0"));
    CHECK(addresses != here.exec("first.0", {"sh", "-c", "cat /etc/hosts /sys/class/net/eth0/address"}).first);
  }
  // What was restored runs on without it.
  CHECK(here.checkpoints->remove("first-1"));
  const auto on = last_in(here.log("second.0"));
  CHECK(eventually([&] { return last_in(here.log("second.0")) > on + 3; }, 120s));
  CHECK(names_in(here.place.data()).empty());
  CHECK(says(refused<wire::Restored>(here, back("first.0", "first-1")), "there is no checkpoint first-1"));
  // Nothing begins from what is not there any more.
  auto late = other;
  late.set_name("late.0");
  here.assign({x, other, late});
  CHECK(says(here.await("late.0", wire::PHASE_FAILED).reason(), "there is no checkpoint first-1"));
}

SCENARIO("what cannot be written down or restored runs on as it did, and says why") {
  if (!can_run_machines())
    return;
  auto here = site{{}, {}, true};
  auto box = counter("box.0");
  auto plain = counter("plain.0", wire::WORKLOAD_KIND_CONTAINER);
  auto theirs = counter("theirs.0");
  theirs.mutable_spec()->set_tenant("acme");
  auto large = counter("large.0");
  large.mutable_spec()->mutable_resources()->set_memory_bytes(80 << 20);
  here.assign({box, plain, theirs, large});
  for (const auto* name : {"box.0", "plain.0", "theirs.0", "large.0"})
    here.await(name, wire::PHASE_RUNNING);
  CHECK(says(refused<wire::Checkpoint>(here, written("plain.0", "")), "CRIU"));
  CHECK(says(refused<wire::Restored>(here, back("plain.0", "one")), "CRIU"));
  CHECK(says(refused<wire::Checkpoint>(here, written("box.0", "../one")), "no name for a checkpoint"));
  here.ask<wire::Checkpoint>(written("box.0", "one"));
  CHECK(
      says(refused<wire::Checkpoint>(here, written("box.0", "one")), "there is a checkpoint one on this node already"));
  CHECK(says(refused<wire::Restored>(here, back("theirs.0", "one")), "not to tenant acme"));
  CHECK(says(refused<wire::Restored>(here, back("large.0", "one")), "a machine with other parts"));
  // Another QEMU, or processor, or kernel: as if it had been made there.
  const auto place = here.place.data() / "checkpoints/one";
  auto facts = *workload::read_checkpoint(place);
  const auto good = facts;
  facts.ground.monitor = "QEMU emulator version 0.1";
  workload::write_checkpoint(place, facts);
  CHECK(says(refused<wire::Restored>(here, back("box.0", "one")), "it was made with QEMU emulator version 0.1"));
  facts = good;
  workload::write_checkpoint(place, facts);
  // One wrong bit.
  for (const auto* file : {"state", "root.disk"}) {
    flip_byte(place / file);
    CHECK(says(refused<wire::Restored>(here, back("box.0", "one")), "checkpoint one is damaged: its "));
    flip_byte(place / file);
  }
  CHECK(fs::exists(here.place.data() / "machines/box.0"));
  for (const auto* name : {"box.0", "plain.0", "theirs.0", "large.0"}) {
    CHECK(here.status(name).phase() == wire::PHASE_RUNNING);
    CHECK(here.status(name).restarts() == 0);
  }
  // And now as it is.
  CHECK(refused<wire::Restored>(here, back("box.0", "one")) == "done");
  // With `pause` it stands still from then on.
  here.ask<wire::Checkpoint>(written("large.0", "two", true));
  CHECK(here.status("large.0").phase() == wire::PHASE_PAUSED);
  const auto still = here.log("large.0");
  std::this_thread::sleep_for(500ms);
  CHECK(here.log("large.0") == still);
  // No room for another.
  here.end();
  here.checkpoint_bytes = std::uint64_t{150} << 20;
  here.begin();
  here.assign({box, plain, theirs, large});
  here.await("box.0", wire::PHASE_RUNNING);
  // As soon as it is reached again.
  CHECK(eventually([&] {
    return says(refused<wire::Checkpoint>(here, written("box.0", "three")), "`checkpoint delete` makes room");
  }));
  CHECK(names_in(here.place.data()) == std::vector<std::string>{"one", "two"});
}

SCENARIO("a node that is killed while it writes a checkpoint has all of it or nothing, and what ran goes on") {
  if (!can_run_machines())
    return;
  auto place = ground{};
  const auto x = counter("life.0");
  auto node = agent_process{place};
  const auto runs = [&] { return node.status("life.0").phase() == wire::PHASE_RUNNING; };
  const auto said = [&] { return last_in(host::read_file(place.data() / "machines/life.0/log/0").value_or("")); };
  node.start({x});
  REQUIRE(eventually([&] { return runs() && said() > 3; }, 240s));
  const auto begin = std::chrono::steady_clock::now();
  node.checkpoint();
  REQUIRE(eventually([&] { return names_in(place.data()) == std::vector<std::string>{"life-1"}; }, 60s));
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  auto halves = 0;
  constexpr auto kills = 8;
  for (auto i = 0; i < kills; ++i) {
    const auto before = names_in(place.data()).size();
    node.checkpoint();
    std::this_thread::sleep_for(whole * (i + 1) / kills);
    node.kill();
    const auto names = names_in(place.data());
    halves += std::ranges::any_of(names, [](const auto& name) { return name.ends_with(".part"); });
    const auto number = said();
    node.start({x});
    REQUIRE(eventually([&] { return runs() && said() > number + 2; }, 240s));
    const auto now = names_in(place.data());
    CHECK((now.size() == before || now.size() == before + 1));
    for (const auto& each : now) {
      const auto facts = workload::read_checkpoint(place.data() / "checkpoints" / each);
      REQUIRE(facts);
      CHECK(workload::find_damage(place.data() / "checkpoints" / each, *facts) == "");
    }
    CHECK(node.status("life.0").restarts() == 0);
    CHECK(fall_in(numbers_in(host::read_file(place.data() / "machines/life.0/log/0").value_or(""))).second == 0);
  }
  MESSAGE("a checkpoint takes " << whole.count() << " ms; " << halves << " of " << kills << " kills left half of one");
  CHECK(halves > 0);
}

TEST_SUITE_END();
