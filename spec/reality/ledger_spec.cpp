/// Real ledger processes: killed, stopped, grown, restored.

#include "actors/state/ledger_bench.hpp"
#include "spec/reality/ledger_fixture.hpp"

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <iostream>

using namespace spec;

TEST_SUITE_BEGIN("reality");

SCENARIO("one voter keeps what it acknowledged through kill -9") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path, .count = 1}};
  group.start_all();
  for (auto round = 0; round < 5; ++round) {
    REQUIRE(put(group, "key/" + std::to_string(round), "value"));
    group.kill(0, SIGKILL);
    group.reap(0);
    group.start(0);
    CHECK(count(group, "key/") == round + 1);
  }
}

SCENARIO("a client's command is applied once, also across restarts and snapshots") {
  auto where = directory{};
  auto group = ledger::voter_group{
      {.program = program, .directory = where.path, .count = 1, .server = {.snapshot_entries = 16}}};
  group.start_all();
  auto hint = std::size_t{0};
  auto command = ledger::put("once", "first");
  command.set_client("spec");
  command.set_sequence(1);
  const auto first = group.propose(command, 5s, hint);
  REQUIRE(first.ok);
  for (auto i = 0; i < 40; ++i)
    REQUIRE(put(group, "once", "later " + std::to_string(i)));
  group.kill(0, SIGKILL);
  group.reap(0);
  group.start(0);
  const auto again = group.propose(command, 5s, hint);
  REQUIRE(again.ok);
  CHECK(again.value.index() == first.value.index());
  const auto found = group.read("once", 5s, hint);
  REQUIRE(found.value.entries_size() == 1);
  CHECK(found.value.entries(0).value() == "later 39");
}

SCENARIO("a log of few but large entries is shortened by a snapshot, too") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path, .count = 1}};
  group.start_all();
  const auto large = std::string(900'000, 'x');
  auto snapshots = [&] {
    auto files = std::filesystem::recursive_directory_iterator{where.path};
    return std::count_if(begin(files), end(files),
                         [](const auto& file) { return file.path().filename().string().starts_with("snapshot-"); });
  };
  REQUIRE(put(group, "large", large));
  CHECK(snapshots() == 0);
  for (auto i = 0; i < 40; ++i)
    REQUIRE(put(group, "large", large));
  CHECK(eventually([&] { return snapshots() > 0; }));
}

SCENARIO("acknowledged commands survive kills of the leader, and nobody sees the past") {
  const auto* kills = std::getenv("NOVACRON_SPEC_KILLS");
  auto where = directory{};
  auto papers = authority{};
  for (const auto* name : {"voter-1", "voter-2", "voter-3"})
    papers.issue(where.path / "trust" / name, name, "cloud");
  const auto report = ledger::measure_failover({.program = program,
                                                .directory = where.path,
                                                .trust = where.path / "trust",
                                                .kills = kills ? static_cast<std::uint32_t>(std::atoi(kills)) : 4});
  std::cout << "failover: ";
  for (const auto x : report.seconds_without)
    std::cout << x << " s ";
  std::cout << "; acknowledged " << report.acknowledged << "; " << report.verdict;
  CHECK(report.acknowledged > 0);
  CHECK(report.lost == 0);
  CHECK_MESSAGE(report.linearizable, report.verdict);
}

SCENARIO("a leader that stands still is replaced, and follows when it wakes up") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path}};
  group.start_all();
  REQUIRE(put(group, "before", "1"));
  const auto old = group.leader(5s);
  REQUIRE(old);
  const auto its_term = group.status(*old).term();
  group.kill(*old, SIGSTOP);
  CHECK(put(group, "while", "2"));
  const auto now = group.leader(5s);
  REQUIRE(now);
  auto hint = *now;
  auto decided = ledger::put("decided", "3");
  decided.set_term(its_term);
  CHECK(group.propose(decided, 5s, hint).kind == fault::conflict);
  CHECK(count(group, "decided") == 0);
  decided.set_term(group.status(*now).term());
  CHECK(group.propose(decided, 5s, hint).ok);
  group.kill(*old, SIGCONT);
  CHECK(eventually([&] {
    const auto now = group.status(*old);
    return !now.leader().empty() && now.leader() != group.name(*old);
  }));
  CHECK(eventually([&] { return group.status(*old).records() == 3; }));
  CHECK(count(group, "") == 3);
}

SCENARIO("what was committed last is followed by one entry without content, so that every voter learns of it") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path}};
  group.start_all();
  const auto leader = group.leader(5s);
  REQUIRE(leader);
  auto hint = *leader;
  const auto last = group.propose(ledger::put("last", "1"), 5s, hint);
  REQUIRE(last.ok);
  CHECK(eventually([&] { return group.status(*leader).committed() == last.value.index() + 1; }, 5s));
  // One, not one after the other.
  std::this_thread::sleep_for(1500ms);
  CHECK(group.status(*leader).committed() == last.value.index() + 1);
  for (auto i = std::size_t{0}; i < 3; ++i)
    CHECK(group.status(i).applied() == last.value.index());
}

SCENARIO("a ledger grows from one voter to three under load, and shrinks") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path, .server = {.snapshot_entries = 64}}};
  group.start(0);
  REQUIRE(group.leader(10s));
  auto over = std::atomic<bool>{false};
  auto written = std::atomic<int>{0};
  auto failures = std::atomic<int>{0};
  auto load = std::thread{[&] {
    while (!over)
      put(group, "load/" + std::to_string(written + failures), std::string(500, 'x')) ? ++written : ++failures;
  }};
  CHECK(eventually([&] { return written > 150; }, 20s));
  // The new ones are behind a snapshot by now: they get it whole.
  group.start(1);
  group.start(2);
  CHECK(group.add(1, 20s).ok);
  CHECK(group.add(2, 20s).ok);
  CHECK_MESSAGE(group.add(2, 20s).ok, "adding a voter again is harmless");
  over = true;
  load.join();
  CHECK(failures == 0);
  CHECK(count(group, "load/") == written);
  for (auto i = std::size_t{0}; i < 3; ++i)
    CHECK(eventually([&] { return group.status(i).records() == static_cast<std::uint64_t>(written); }));
  const auto members = group.status(*group.leader(5s));
  REQUIRE(members.members_size() == 3);
  for (const auto& member : members.members())
    CHECK(member.role() == "voter");

  WHEN("one is removed") {
    auto gone = wire::LedgerRemove{};
    const auto leader = *group.leader(5s);
    const auto leaver = (leader + 1) % 3;
    gone.set_node(group.name(leaver));
    auto promised = std::promise<bool>{};
    group.of(leader).remove(gone, [&](const auto& x) { promised.set_value(x.ok); });
    CHECK(promised.get_future().get());
    THEN("the other two go on") {
      group.kill(leaver, SIGKILL);
      group.reap(leaver);
      CHECK(put(group, "after", "1"));
      CHECK(group.status(leader).members_size() == 2);
    }
  }
}

SCENARIO("a backup is one file that makes the same ledger elsewhere") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path / "a", .count = 1}};
  auto other = ledger::voter_group{{.program = program, .directory = where.path / "b", .count = 1}};
  group.start_all();
  other.start_all();
  for (auto i = 0; i < 20; ++i)
    REQUIRE(put(group, "key/" + std::to_string(i), "value " + std::to_string(i)));
  auto applied = [](auto begin) {
    auto promised = std::make_shared<std::promise<ledger::answer<wire::LedgerApplied>>>();
    begin([promised](auto x) { promised->set_value(x); });
    return promised->get_future().get();
  };
  auto backup = wire::LedgerBackup{};
  backup.set_path(where.path / "backup");
  REQUIRE(applied([&](auto told) { group.of(0).backup(backup, told); }).ok);
  auto restore = wire::LedgerRestore{};
  restore.set_path(where.path / "backup");
  WHEN("the other ledger is empty") {
    CHECK(applied([&](auto told) { other.of(0).restore(restore, told); }).ok);
    CHECK(count(other, "key/") == 20);
  }
  WHEN("it is not") {
    REQUIRE(put(other, "mine", "x"));
    const auto refused = applied([&](auto told) { other.of(0).restore(restore, told); });
    CHECK_FALSE(refused.ok);
    CHECK(refused.kind == fault::conflict);
    CHECK(count(other, "") == 1);
    restore.set_force(true);
    CHECK(applied([&](auto told) { other.of(0).restore(restore, told); }).ok);
    CHECK(count(other, "") == 20);
  }
  WHEN("the file is damaged") {
    fs::resize_file(where.path / "backup", fs::file_size(where.path / "backup") - 1);
    const auto refused = applied([&](auto told) { other.of(0).restore(restore, told); });
    CHECK_FALSE(refused.ok);
    CHECK(refused.kind == fault::bad_request);
  }
  THEN("a snapshot can be asked for") {
    CHECK(applied([&](auto told) { group.of(0).snapshot(told); }).ok);
    CHECK(eventually([&] {
      auto there = false;
      for (const auto& file : fs::directory_iterator{group.options(0).directory})
        there = there || file.path().filename().string().starts_with("snapshot-");
      return there;
    }));
  }
}

TEST_SUITE_END();
