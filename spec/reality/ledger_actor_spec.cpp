/// The ledger and the cache as actors, with a real process behind them that is killed.

#include "actors/state/cache_actor.hpp"
#include "actors/state/ledger_actor.hpp"
#include "messages/language.hpp"
#include "spec/reality/ledger_fixture.hpp"

#include <caf/all.hpp>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <iostream>
#include <mutex>

using namespace spec;

namespace {

struct settings : caf::actor_system_config {
  settings() { add_language(*this); }
};

/// What a watcher was told, in order.
struct notes {
  std::mutex guard;
  std::vector<wire::LedgerChanged> changes;
  std::atomic<int> leads = 0;
  std::atomic<int> follows = 0;

  std::size_t size() {
    const auto lock = std::lock_guard{guard};
    return changes.size();
  }
};

ledger_watcher::behavior_type note(ledger_watcher::pointer, std::shared_ptr<notes> into) {
  return {
      [=](const wire::LedgerChanged& x) {
        const auto lock = std::lock_guard{into->guard};
        into->changes.push_back(x);
      },
      [=](const wire::LedgerLed& x) { x.here() ? ++into->leads : ++into->follows; },
  };
}

ledger::config config_in(const fs::path& where) {
  auto x = ledger::config{};
  x.server.node = "cloud-1";
  x.server.directory = where / "ledger";
  x.server.socket = where / "ledger.sock";
  x.server.bootstrap = true;
  x.program = program;
  return x;
}

template <class Answer, class Handle, class... Ask>
caf::expected<Answer> ask(caf::actor_system& system, const Handle& whom, Ask... what) {
  auto self = caf::scoped_actor{system};
  auto result = caf::expected<Answer>{caf::sec::runtime_error};
  self->request(whom, 15s, std::move(what)...)
      .receive([&](const Answer& x) { result = x; }, [&](caf::error& x) { result = std::move(x); });
  return result;
}

/// The process behind the ledger in `where`, found by its arguments.
pid_t process_in(const fs::path& where) {
  for (const auto& entry : fs::directory_iterator{"/proc"}) {
    auto file = std::ifstream{entry.path() / "cmdline"};
    const auto text = std::string{std::istreambuf_iterator<char>{file}, {}};
    if (text.find("ledger-server") != text.npos && text.find(where.string()) != text.npos)
      return std::stoi(entry.path().filename().string());
  }
  return -1;
}

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("actors keep their ledger while its process is killed") {
  auto where = directory{};
  auto options = settings{};
  auto system = caf::actor_system{options};
  auto book = ledger::spawn_ledger(system, config_in(where.path));
  auto seen = std::make_shared<notes>();
  auto watcher = system.spawn(note, seen);
  auto watch = wire::LedgerWatch{};
  watch.set_prefix("node/");
  const auto start = ask<wire::LedgerEntries>(system, book, watch, watcher);
  REQUIRE(start);
  CHECK(start->entries_size() == 0);

  for (auto round = 0; round < 4; ++round) {
    const auto done = ask<wire::LedgerApplied>(system, book, ledger::put("node/" + std::to_string(round), "x"));
    REQUIRE_MESSAGE(done, system.render(done.error()));
    CHECK(done->applied());
    REQUIRE(ask<wire::LedgerApplied>(system, book, ledger::put("other/" + std::to_string(round), "x")));
    const auto pid = process_in(where.path);
    REQUIRE(pid > 0);
    // Also as if the log library gave up on itself.
    ::kill(pid, round % 2 == 0 ? SIGKILL : SIGABRT);
    auto read = wire::LedgerRead{};
    read.set_prefix("node/");
    const auto known = ask<wire::LedgerEntries>(system, book, read);
    REQUIRE(known);
    CHECK(known->entries_size() == round + 1);
    read.set_linearizable(true);
    const auto sure = ask<wire::LedgerEntries>(system, book, read);
    REQUIRE_MESSAGE(sure, system.render(sure.error()));
    CHECK(sure->entries_size() == round + 1);
  }
  THEN("watchers are told each change once, in order, below their prefix only") {
    CHECK(eventually([&] { return seen->size() == 4; }));
    auto last = std::uint64_t{0};
    for (const auto& change : seen->changes) {
      CHECK(change.index() > last);
      last = change.index();
      REQUIRE(change.written_size() == 1);
      CHECK(change.written(0).key().starts_with("node/"));
    }
    CHECK(seen->leads >= 4);
    CHECK(seen->follows >= 4);
  }
  THEN("status tells how often it was started") {
    const auto status = ask<wire::LedgerStatus>(system, book, wire::LedgerStatusRequest{});
    REQUIRE(status);
    CHECK(status->starts() == 5);
    CHECK(status->records() == 8);
    CHECK(status->state() == "serving");
  }
  THEN("a node without a ledger of its own passes everything on") {
    auto elsewhere = ledger::config{};
    elsewhere.server.node = "cloud-2";
    elsewhere.peers = {"cloud-1"};
    elsewhere.peer = [=](const std::string&) { return caf::actor_cast<caf::actor>(book); };
    auto other = ledger::spawn_ledger(system, elsewhere);
    REQUIRE(ask<wire::LedgerApplied>(system, other, ledger::put("from/elsewhere", "x")));
    auto read = wire::LedgerRead{};
    read.set_prefix("from/");
    const auto found = ask<wire::LedgerEntries>(system, other, read);
    REQUIRE(found);
    CHECK(found->entries_size() == 1);
    caf::anon_send_exit(other, caf::exit_reason::user_shutdown);
  }
  THEN("nonsense is refused before it reaches the log") {
    const auto bad = ask<wire::LedgerApplied>(system, book, ledger::put("", "x"));
    REQUIRE_FALSE(bad);
    CHECK(explain(bad.error()).kind == fault::bad_request);
  }
  caf::anon_send_exit(watcher, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(book, caf::exit_reason::user_shutdown);
  watcher = nullptr;
  book = nullptr;
  system.await_all_actors_done();
  CHECK(process_in(where.path) < 0);
}

SCENARIO("a process that never comes up ends the actor") {
  auto where = directory{};
  auto options = settings{};
  auto system = caf::actor_system{options};
  auto broken = config_in(where.path);
  broken.program = {"/bin/false"};
  broken.starts_max = 3;
  auto book = ledger::spawn_ledger(system, broken);
  auto self = caf::scoped_actor{system};
  self->monitor(book);
  self->receive([](const caf::down_msg& x) { CHECK(explain(x.reason).kind == fault::unavailable); });
}

SCENARIO("a cache in Redis may be killed: nothing but time is lost") {
  if (::access("/usr/bin/redis-server", X_OK) != 0) {
    std::cout << "skipped: no redis-server on this machine\n";
    return;
  }
  auto where = directory{};
  const auto socket = (where.path / "redis.sock").string();
  auto start = [&] {
    return host::start({.argv = {"redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", where.path.string()},
                        .dies_with_us = true});
  };
  auto stop = [](host::child server) {
    ::kill(server.pid, SIGKILL);
    ::waitpid(server.pid, nullptr, 0);
    ::close(server.pidfd);
  };
  auto server = start();
  auto options = settings{};
  auto system = caf::actor_system{options};
  auto cache = cache::spawn_cache(system, {.outside = {.address = socket}});
  auto book = ledger::spawn_ledger(system, config_in(where.path));

  auto status = [&] { return *ask<wire::CacheStatus>(system, cache, wire::CacheStatusRequest{}); };
  auto put = [&](const std::string& value, std::uint64_t index) {
    auto x = wire::CachePut{};
    x.set_key("k");
    x.set_value(value);
    x.set_index(index);
    REQUIRE(ask<wire::Done>(system, cache, x));
  };
  auto get = [&](std::uint64_t index_min) {
    auto x = wire::CacheGet{};
    x.set_key("k");
    x.set_index_min(index_min);
    return *ask<wire::CacheValue>(system, cache, x);
  };
  REQUIRE(eventually([&] { return status().reachable(); }));
  CHECK_FALSE(get(0).found());
  put("old", 5);
  CHECK(get(5).value() == "old");
  CHECK(get(6).stale());
  put("new", 7);
  put("late", 6);
  CHECK(get(6).value() == "new");
  CHECK(get(6).index() == 7);

  stop(server);
  CHECK_FALSE(get(0).found());
  put("nobody keeps this", 8);
  CHECK(ask<wire::LedgerApplied>(system, book, ledger::put("control/plane", "unaffected")));
  CHECK(eventually([&] { return !status().reachable(); }));
  CHECK(status().failures() > 0);

  server = start();
  CHECK(eventually([&] { return status().reachable(); }));
  CHECK_FALSE(get(0).found());
  put("again", 9);
  CHECK(get(9).value() == "again");

  // A server that stands still is left after the patience of a call.
  ::kill(server.pid, SIGSTOP);
  CHECK_FALSE(get(0).found());
  ::kill(server.pid, SIGCONT);
  CHECK(eventually([&] { return get(9).found(); }));
  stop(server);
  caf::anon_send_exit(cache, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(book, caf::exit_reason::user_shutdown);
}

TEST_SUITE_END();
