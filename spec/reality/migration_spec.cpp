#include "actors/host/process.hpp"
#include "actors/migration/bench_machine.hpp"
#include "actors/migration/qemu_guest.hpp"
#include "actors/migration/sink.hpp"
#include "actors/migration/source.hpp"
#include "actors/migration/watch_library.hpp"
#include "actors/migration/write_tracker.hpp"
#include "actors/workload/machine_files.hpp"
#include "spec/migration/moving_guest.hpp"
#include "spec/skip.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

using namespace novacron;
using namespace novacron::migration;
using namespace novacron::spec;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// Why guests cannot be moved here, in words; empty if they can.
std::string lack() {
  if (::geteuid() != 0)
    return "another process's memory takes root";
  if (!workload::find_guest_kernel({}))
    return "there is no kernel for guests (share/guest/prepare build-guest)";
  try {
    if (host::run({.argv = {"qemu-system-x86_64", "--version"}}).how.code != 0)
      return "QEMU does not start";
  } catch (const std::system_error&) {
    return "QEMU is not installed (apt-get install qemu-system-x86)";
  }
  return tracking_lack();
}

bool can_move() {
  const auto why = lack();
  if (!why.empty())
    skip(doctest::getContextOptions()->currentTest->m_name, why);
  return why.empty();
}

/// A directory that goes with its owner, even one that was never whole.
struct folder {
  fs::path path = fs::temp_directory_path() / fmt::format("nvm-{:x}", std::random_device{}());
  folder() { fs::create_directories(path); }
  ~folder() {
    auto ignored = std::error_code{};
    fs::remove_all(path, ignored);
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
};

/// A guest that dirties memory, and machines for it to be moved to.
class stage {
public:
  stage() {
    const auto packed = host::run({.argv = {HOUSE_ROOT "/share/guest/workload", place_ / "guest", "--build", BUILD_ROOT,
                                            "--kernel", workload::find_guest_kernel({})->directory, "--files", "4"}});
    if (packed.how.code != 0)
      throw std::runtime_error{packed.err};
    here = start(true);
    here->await_counts(5, 180s);
    checksum_ = here->ask_sum(60s).checksum;
  }
  stage(const stage&) = delete;
  stage& operator=(const stage&) = delete;

  std::unique_ptr<bench_machine> start(bool boots) {
    return std::make_unique<bench_machine>(machine_order{.directory = place_,
                                                         .name = fmt::format("machine-{}", ++count_),
                                                         .guest = place_ / "guest",
                                                         .kernel_words = "console=ttyS0 quiet rdinit=/init panic=-1 "
                                                                         "wl.fill=24 wl.ws=8 wl.rate=2000",
                                                         .memory_kib = 131072,
                                                         .shared = true,
                                                         .watch = write_watch_library(place_),
                                                         .incoming = boots ? "" : "defer"});
  }

  /// The guest runs here, has lost nothing, and goes on.
  void check_whole(bench_machine& machine) {
    machine.await_counts(3, 30s);
    const auto sum = machine.ask_sum(60s);
    CHECK(sum.bad == 0);
    CHECK(sum.looked_at == 2048);
    CHECK(sum.checksum == checksum_);
  }

private:
  folder ground_;
  const fs::path& place_ = ground_.path;
  std::string checksum_;
  int count_ = 0;

public:
  std::unique_ptr<bench_machine> here;
};

struct outcome {
  source_report sent;
  sink_report received;
};

/// `sending` is called before each piece that the source sends.
outcome move(bench_machine& from, bench_machine& to, const std::function<void()>& sending = {}, mishap trouble = {},
             std::stop_token cancel = {}, std::stop_token give_up = {}) {
  const auto there = qemu_target(to.pid(), to.monitor_socket(true));
  const auto source = qemu_source(from.pid(), from.monitor_socket(true));
  const auto tracker = track_writes(from.pid());
  auto ours = std::vector<std::unique_ptr<channel>>{};
  auto theirs = std::vector<std::unique_ptr<channel>>{};
  for (auto i = 0; i < 2; ++i) {
    auto [a, b] = make_way(sending, i == 0 ? trouble : mishap{});
    ours.push_back(std::move(a));
    theirs.push_back(std::move(b));
  }
  auto settings = source_settings{.hash_seed = 77};
  auto result = outcome{};
  auto sink = std::jthread{
      [&] { result.received = receive_guest(*there, std::move(theirs), settings.token, std::move(give_up)); }};
  result.sent = send_guest(*source, *tracker, std::move(ours), settings, std::move(cancel));
  return result;
}

/// The number of the first count there is the one after the last here.
bool went_on(bench_machine& from, bench_machine& to) {
  to.await_counts(3, 30s);
  to.complete_line(from.half_line());
  return to.counts().front().number == from.counts().back().number + 1;
}

bool ended(bench_machine& machine) {
  for (auto i = 0; i < 500; ++i) {
    if (machine.is_dead())
      return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

int rounds(int usual) {
  const auto* const told = std::getenv("NOVACRON_ROUNDS");
  return told == nullptr ? usual : std::atoi(told);
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a guest that writes is moved from host to host, and misses nothing") {
  if (!can_move())
    return;
  auto x = stage{};
  for (auto i = 0; i < rounds(3); ++i) {
    auto there = x.start(false);
    const auto result = move(*x.here, *there);
    INFO(result.sent.reason, " / ", result.received.reason);
    REQUIRE(result.sent.guest == whereabouts::moved);
    REQUIRE(result.received.runs);
    CHECK(x.here->status() == "postmigrate");
    CHECK(went_on(*x.here, *there));
    x.check_whole(*there);
    x.here = std::move(there);
  }
}

SCENARIO("a migration that is cancelled, cut, damaged or refused leaves the guest as it was") {
  if (!can_move())
    return;
  auto x = stage{};
  {
    INFO("a person who cancels it in the middle");
    auto there = x.start(false);
    auto stop = std::stop_source{};
    auto asked = std::chrono::steady_clock::time_point{};
    const auto result = move(
        *x.here, *there, [] { std::this_thread::sleep_for(10ms); },
        {.what = mishap::kind::call,
         .after = 2'000'000,
         .call =
             [&] {
               asked = std::chrono::steady_clock::now();
               stop.request_stop();
             }},
        stop.get_token());
    CHECK(std::chrono::steady_clock::now() - asked < 1s);
    CHECK(result.sent.guest == whereabouts::kept);
    CHECK(result.sent.reason == "it was cancelled");
    CHECK(ended(*there));
    x.check_whole(*x.here);
  }
  {
    INFO("a stream that breaks");
    for (const auto after : {100'000u, 3'000'000u}) {
      auto there = x.start(false);
      const auto result = move(*x.here, *there, {}, {.what = mishap::kind::cut, .after = after});
      CHECK(result.sent.guest == whereabouts::kept);
      CHECK_FALSE(result.received.runs);
      CHECK(ended(*there));
      x.check_whole(*x.here);
    }
  }
  {
    INFO("a bit that turns");
    auto there = x.start(false);
    const auto result = move(*x.here, *there, {}, {.what = mishap::kind::flip, .after = 1'500'000});
    CHECK(result.sent.guest == whereabouts::kept);
    CHECK(result.received.reason.find("damaged") != std::string::npos);
    CHECK(ended(*there));
    x.check_whole(*x.here);
  }
  {
    INFO("a target whose process is killed");
    auto there = x.start(false);
    const auto result =
        move(*x.here, *there, {},
             {.what = mishap::kind::call, .after = 1'500'000, .call = [&] { ::kill(there->pid(), SIGKILL); }});
    CHECK(result.sent.guest == whereabouts::kept);
    CHECK_FALSE(result.received.runs);
    x.check_whole(*x.here);
  }
  {
    INFO("after all that, a migration without trouble");
    auto there = x.start(false);
    const auto result = move(*x.here, *there);
    CHECK(result.sent.guest == whereabouts::moved);
    x.check_whole(*there);
  }
}

SCENARIO("whenever a migration breaks, the guest runs once, and whole") {
  if (!can_move())
    return;
  auto x = stage{};
  auto chance = std::minstd_rand{11};
  auto kept = 0;
  for (auto i = 0; i < rounds(6); ++i) {
    auto there = x.start(false);
    auto stop = std::stop_source{};
    auto give_up = std::stop_source{};
    auto trouble = mishap{.after = chance() % 20'000'000};
    switch (chance() % 5) {
      case 0: trouble.what = mishap::kind::cut; break;
      case 1: trouble.what = mishap::kind::flip; break;
      case 2:
        trouble = {.what = mishap::kind::call, .after = trouble.after, .call = [&] { stop.request_stop(); }};
        break;
      case 3:
        trouble = {.what = mishap::kind::call, .after = trouble.after, .call = [&] { give_up.request_stop(); }};
        break;
      default:
        trouble = {.what = mishap::kind::call, .after = trouble.after, .call = [&] { ::kill(there->pid(), SIGKILL); }};
    }
    const auto result = move(*x.here, *there, {}, trouble, stop.get_token(), give_up.get_token());
    INFO("round ", i, ": ", result.sent.reason, " / ", result.received.reason);
    REQUIRE((result.sent.guest == whereabouts::kept || result.sent.guest == whereabouts::moved));
    if (result.sent.guest == whereabouts::moved && !there->is_dead()) {
      x.check_whole(*there);
      CHECK(x.here->status() == "postmigrate");
      x.here = std::move(there);
      continue;
    }
    ++kept;
    CHECK_FALSE(result.received.runs);
    CHECK(ended(*there));
    x.check_whole(*x.here);
  }
  CHECK(kept > 0);
}
