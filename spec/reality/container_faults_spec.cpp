/// What becomes of containers when the disk is full, or what started or holds them is killed.

#include "actors/host/files.hpp"
#include "spec/reality/container_kit.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <thread>

using namespace novacron;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// The processes whose command line has all these words.
std::vector<pid_t> processes(const std::vector<std::string>& words) {
  auto found = std::vector<pid_t>{};
  for (const auto& entry : fs::directory_iterator{"/proc"}) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != name.npos)
      continue;
    const auto line = host::read_file(entry.path() / "cmdline").value_or("");
    if (std::ranges::all_of(words, [&](const auto& word) { return line.find(word) != line.npos; }))
      found.push_back(std::stoi(name));
  }
  return found;
}

void fill(const fs::path& file) {
  auto out = std::ofstream{file, std::ios::binary};
  const auto block = std::string(64 << 10, 'x');
  while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush())
    ;
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a full disk costs output, but neither the container nor its exit code") {
  if (!can_run())
    return;
  auto here = site{{}, "24m"};
  here.assign(
      {batch("job.0", "echo begun; sleep 2; exit 3"), instance("talker.0", "while :; do echo word; sleep 0.05; done")});
  here.await("job.0", wire::PHASE_RUNNING);
  here.await("talker.0", wire::PHASE_RUNNING);
  // It runs before it has said anything.
  REQUIRE(eventually([&] { return here.log("job.0") == "begun\n"; }, 10s));
  fill(here.place.top / "filler");
  const auto ended = here.await("job.0", wire::PHASE_FAILED);
  CHECK(ended.exit_code() == 3);
  CHECK(here.log("job.0") == "begun\n");
  CHECK(here.status("talker.0").phase() == wire::PHASE_RUNNING);
  CHECK(here.status("talker.0").restarts() == 0);
  std::this_thread::sleep_for(500ms);
  const auto before = here.log("talker.0").size();
  fs::remove(here.place.top / "filler");
  CHECK(eventually([&] { return here.log("talker.0").size() > before + 50; }, 10s));
}

SCENARIO("a flood of output goes on being kept after the disk was full") {
  if (!can_run())
    return;
  auto here = site{{.log_segment_bytes = 4 << 10, .log_segments = 2}, "24m"};
  here.assign({instance("flood.0", "while :; do echo 0123456789012345678901234567890123456789; done")});
  here.await("flood.0", wire::PHASE_RUNNING);
  fill(here.place.top / "filler");
  std::this_thread::sleep_for(1s);
  fs::remove(here.place.top / "filler");
  auto end = wire::LogRequest{};
  end.set_instance("flood.0");
  end.set_offset(-1);
  const auto at = here.ask<wire::LogChunk>(end).next_offset();
  CHECK(eventually([&] { return here.ask<wire::LogChunk>(end).next_offset() > at + (64 << 10); }, 10s));
}

SCENARIO("a disk that has no room to try an overlay refuses no start") {
  if (!can_run())
    return;
  const auto here = ground{};
  const auto before = workload::make_container_driver({.data = here.data()})->abilities();
  // What stands in its way fails it as a full disk does.
  std::ofstream{here.data() / "agent" / "overlay-probe"} << "in the way";
  const auto after = workload::make_container_driver({.data = here.data()})->abilities();
  CHECK(after.overlay == before.overlay);
  CHECK(after.missing.size() == before.missing.size() + 1);
  CHECK(std::ranges::any_of(after.missing, [](const auto& x) { return x.find("could not be tried") != x.npos; }));
}

SCENARIO("an instance that has a copy of its image keeps it, also where overlays work by now") {
  if (!can_run())
    return;
  auto here = site{};
  if (!here.driver->abilities().overlay)
    return;
  const auto home = here.place.data() / "instances" / "job.0" / "root";
  fs::create_directories(home.parent_path());
  fs::copy(here.place.root(), home, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  std::ofstream{home / "mine"} << "written before\n";
  here.assign({batch("job.0", "cat /mine")});
  here.await("job.0", wire::PHASE_COMPLETED);
  CHECK(here.log("job.0") == "written before\n");
}

SCENARIO("whoever kills crun or a shim, each container runs once") {
  if (!can_run())
    return;
  auto here = site{};
  const auto data = "dir=" + here.place.data().string();
  auto all = std::vector<wire::Instance>{};
  for (auto i = 0; i < 3; ++i) {
    all.push_back(instance(fmt::format("w.{}", i), "echo up; exec sleep 1000"));
    all.back().mutable_spec()->mutable_restart()->set_delay_ms(20);
    all.back().mutable_spec()->mutable_restart()->set_delay_max_ms(50);
  }
  here.assign(all);
  auto chance = std::mt19937{11};
  auto killed = 0;
  const auto once = [&] {
    auto count = std::size_t{0};
    for (const auto& each : all)
      count += members(here.place.data(), each.name()) == 1;
    return count == all.size() && processes({data}).size() == all.size();
  };
  SUBCASE("crun, while it starts them") {
    for (const auto until = std::chrono::steady_clock::now() + 4s; std::chrono::steady_clock::now() < until;) {
      std::this_thread::sleep_for(std::chrono::microseconds{std::uniform_int_distribution{0, 8000}(chance)});
      for (const auto pid : processes({here.place.data().string(), "--pid-file"}))
        killed += ::kill(pid, SIGKILL) == 0;
      // Those that got through start again, so that there is something to kill.
      for (const auto& each : all)
        if (here.status(each.name()).phase() == wire::PHASE_RUNNING) {
          auto again = wire::RestartInstance{};
          again.set_instance(each.name());
          here.ask<wire::Done>(again);
        }
    }
  }
  SUBCASE("the shims that hold them") {
    for (auto i = 0; i < 5; ++i) {
      REQUIRE(eventually(once));
      for (const auto pid : processes({data}))
        killed += ::kill(pid, SIGKILL) == 0;
    }
  }
  MESSAGE("killed: " << killed);
  CHECK(killed > 2);
  CHECK(eventually(once));
  for (const auto& each : all)
    here.await(each.name(), wire::PHASE_RUNNING);
  CHECK(once());
}

TEST_SUITE_END();
