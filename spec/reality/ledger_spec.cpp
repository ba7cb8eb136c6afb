/// Three real ledger processes, and what may happen to them.

#include "actors/state/ledger_bench.hpp"
#include "actors/state/voter_group.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

using namespace novacron;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

const auto program = std::vector<std::string>{"/proc/self/exe", "ledger-server"};

struct directory {
  fs::path path = fs::temp_directory_path() / ("novacron-ledger-" + std::to_string(::getpid()));
  directory() { fs::create_directories(path); }
  ~directory() { fs::remove_all(path); }
};

} // namespace

TEST_SUITE_BEGIN("reality");

SCENARIO("one voter keeps what it acknowledged through kill -9") {
  auto where = directory{};
  auto group = ledger::voter_group{{.program = program, .directory = where.path, .count = 1}};
  group.start_all();
  auto hint = std::size_t{0};
  for (auto round = 0; round < 5; ++round) {
    const auto key = "key/" + std::to_string(round);
    const auto done = group.propose(ledger::put(key, "value"), 5s, hint);
    REQUIRE_MESSAGE(done.ok, done.text);
    CHECK(done.value.applied());
    group.kill(0, SIGKILL);
    group.reap(0);
    group.start(0);
    const auto found = group.read("key/", 5s, hint);
    REQUIRE_MESSAGE(found.ok, found.text);
    CHECK(found.value.entries_size() == round + 1);
  }
}

TEST_SUITE_END();
