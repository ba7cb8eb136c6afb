/// What a whole fabric promises about moving what runs: memory and disk go along, and it runs once, whatever breaks.

#include "spec/reality/borrowed_links.hpp"
#include "spec/reality/moving_fabric.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

/// One move that goes wrong: who is on the move, and how long what was broken stays so.
struct attempt {
  spec::moving_fabric& x;
  std::string from;
  std::string to;
  std::string move;
  std::chrono::milliseconds away;
  /// Machines that were killed by it.
  int lost = 0;

  void kill_node(const std::string& which) const {
    x.fabric.processes().signal(which, SIGKILL);
    REQUIRE(spec::eventually([&] { return !x.fabric.processes().take_ended().empty(); }, 5s));
    std::this_thread::sleep_for(away);
    x.fabric.processes().start(which);
  }
  void kill_machine(const std::string& which) {
    if (const auto pid = x.machine_on(which); pid > 0 && ::kill(pid, SIGKILL) == 0)
      ++lost;
  }
  /// What the two nodes are connected by at this moment, seen from the first.
  [[nodiscard]] std::unique_ptr<spec::borrowed_links> link(const std::string& one, const std::string& other) const {
    return std::make_unique<spec::borrowed_links>(x.fabric.process_of(one), x.fabric.process_of(other));
  }
  /// Nothing that is sent to `whom` gets there; for so long, or sometimes for good.
  void mute(const std::string& whom, const std::string& other) const {
    const auto links = link(whom, other);
    links->mute();
    // Longer than the patience of either end, or not.
    std::this_thread::sleep_for(away > 2s ? 12s : away);
    links->unmute();
  }
};

struct mishap {
  std::string name;
  std::function<void(attempt&)> strike;
};

const std::vector<mishap>& mishaps() {
  static const auto all = std::vector<mishap>{
      {"the source's novacron", [](attempt& r) { r.kill_node(r.from); }},
      {"the target's novacron", [](attempt& r) { r.kill_node(r.to); }},
      {"the controller", [](attempt& r) { r.kill_node("cloud-1"); }},
      {"the source's machine", [](attempt& r) { r.kill_machine(r.from); }},
      {"the target's machine", [](attempt& r) { r.kill_machine(r.to); }},
      {"cancelled", [](attempt& r) { r.x.command({"migration", "cancel", r.move}); }},
      {"the ledger's process",
       [](attempt& r) {
         if (const auto ledger = r.x.fabric.process_of("cloud-1", true); ledger > 0)
           ::kill(ledger, SIGKILL);
       }},
      {"the link is cut", [](attempt& r) { r.link(r.from, r.to)->reset(); }},
      {"the link carries nothing to the target", [](attempt& r) { r.mute(r.to, r.from); }},
      {"the link carries nothing to the source", [](attempt& r) { r.mute(r.from, r.to); }},
      {"a byte more to the target", [](attempt& r) { r.link(r.from, r.to)->damage(); }},
      {"a byte more to the source", [](attempt& r) { r.link(r.to, r.from)->damage(); }},
  };
  return all;
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("a virtual machine moves to another node and back while it runs") {
  if (spec::cannot_move("moves between nodes"))
    return;
  auto x = spec::moving_fabric{};
  for (auto i = 0; i < 2; ++i) {
    const auto to = x.elsewhere();
    const auto before = x.count();
    const auto epoch = x.instance().value("epoch", "");
    const auto how = x.await_end(x.begin_move(to));
    INFO(how.dump());
    REQUIRE(how.value("phase", "") == "moved");
    CHECK(x.node() == to);
    CHECK(x.instance().value("epoch", "") != epoch);
    // What is kept of it can be looked at: each pass, and of the bytes those of the disk.
    CHECK(how.value("course", nlohmann::json::array()).size() == how.value("passes", 0u));
    CHECK(std::stoll(how.value("disk_bytes", "0")) > 0);
    CHECK(std::stoll(how.value("disk_bytes", "0")) < std::stoll(how.value("bytes", "0")));
    x.check_whole(before);
  }
  const auto history = x.command({"migration", "history"});
  INFO(history);
  CHECK(std::ranges::count(history, '\n') == 3);
  x.fabric.ask().order("POST", "/v1/workloads/vm:stop", "{}");
  CHECK(spec::eventually([&] { return x.machine_on("edge-1") == 0 && x.machine_on("edge-2") == 0; }, 60s));
}

/// NOVACRON_MOVES rounds from NOVACRON_SEED; NOVACRON_MISHAP takes the one of that number each time.
SCENARIO("whatever breaks at whatever moment of a move, the machine runs once afterwards") {
  if (spec::cannot_move("faults during moves"))
    return;
  const auto rounds = spec::wished("NOVACRON_MOVES", 6);
  const auto only = spec::wished("NOVACRON_MISHAP", -1);
  const auto seed =
      static_cast<unsigned>(spec::wished("NOVACRON_SEED", static_cast<long>(std::random_device{}() % 100'000)));
  INFO("NOVACRON_SEED=" << seed);
  auto chance = std::mt19937{seed};
  const auto below = [&](int n) { return std::uniform_int_distribution<>{0, n - 1}(chance); };
  auto x = spec::moving_fabric{};
  // Measured: a move of this machine takes half a second.
  constexpr auto window_ms = 900;
  auto lost = 0;
  auto moved = 0;
  auto struck = std::map<std::string, std::array<int, 2>>{};
  for (auto i = 0L; i < rounds; ++i) {
    const auto to = x.elsewhere();
    auto r = attempt{.x = x, .from = x.node(), .to = to, .move = x.begin_move(to), .away = 0ms};
    const auto when = std::chrono::milliseconds{below(window_ms)};
    std::this_thread::sleep_for(when);
    r.away = std::chrono::milliseconds{below(3000)};
    const auto drawn = below(static_cast<int>(mishaps().size()));
    const auto& what = mishaps()[static_cast<std::size_t>(only < 0 ? drawn : static_cast<int>(only))];
    INFO("round " << i << ": " << what.name << " after " << when.count() << " ms, away for " << r.away.count()
                  << " ms");
    what.strike(r);
    lost += r.lost;
    const auto how = x.await_end(r.move);
    INFO(how.dump());
    const auto is_there = how.value("phase", "") == "moved";
    moved += is_there;
    ++struck[what.name][is_there];
    x.check_once();
    CHECK(x.node() == (is_there ? to : r.from));
    // Nothing begins anew but what was killed.
    CHECK(x.begins() <= 1 + lost);
    MESSAGE("round " << i << ": " << what.name << " after " << when.count() << " ms: " << how.value("phase", "") << " "
                     << how.value("reason", ""));
  }
  for (const auto& [name, counts] : struck)
    MESSAGE(name << ": kept " << counts[0] << ", moved " << counts[1]);
  MESSAGE(moved << " of " << rounds << " moves were made, seed " << seed);
  x.fabric.ask().order("POST", "/v1/workloads/vm:stop", "{}");
  CHECK(spec::eventually([&] { return x.is_clean(); }, 60s));
}

TEST_SUITE_END();
