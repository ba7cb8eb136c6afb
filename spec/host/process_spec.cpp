#include "actors/host/process.hpp"

#include <doctest/doctest.h>

#include <future>
#include <system_error>
#include <unistd.h>

using namespace novacron;
using namespace std::chrono_literals;

SCENARIO("a child process is run to its end") {
  THEN("its output, errors and exit code are kept apart") {
    const auto done = host::run({.argv = {"sh", "-c", "echo out; echo err >&2; exit 3"}});
    CHECK(done.out == "out\n");
    CHECK(done.err == "err\n");
    CHECK(done.how.code == 3);
    CHECK(done.how.signal == 0);
  }
  THEN("it can be given input") {
    const auto text = std::string(300'000, 'x');
    CHECK(host::run({.argv = {"cat"}}, 10s, text).out == text);
  }
  THEN("a signal shows as a shell shows it") {
    const auto done = host::run({.argv = {"sh", "-c", "kill -9 $$"}});
    CHECK(done.how.code == 137);
    CHECK(done.how.signal == 9);
  }
  THEN("it is killed when its time is over") {
    const auto done = host::run({.argv = {"sleep", "60"}}, 50ms);
    CHECK(done.timed_out);
    CHECK(done.how.signal == 9);
  }
  THEN("an executable that does not exist is an error, not an exit code") {
    CHECK_THROWS_AS(host::run({.argv = {"/no/such/program"}}), std::system_error);
  }
  THEN("no descriptor of ours leaks into it") {
    const auto leak = ::dup(1);
    const auto done = host::run({.argv = {"ls", "/proc/self/fd"}});
    ::close(leak);
    // The fourth is the directory itself.
    CHECK(done.out == "0\n1\n2\n3\n");
  }
}

SCENARIO("the loop tells when a child has ended") {
  auto loop = host::loop{};
  auto told = std::promise<host::ending>{};
  host::when_ended(loop, host::start({.argv = {"sh", "-c", "exit 7"}}), [&](host::ending x) { told.set_value(x); });
  auto future = told.get_future();
  REQUIRE(future.wait_for(10s) == std::future_status::ready);
  CHECK(future.get().code == 7);
}

SCENARIO("a process is named by its pid and its start") {
  CHECK(host::start_ticks(::getpid()).has_value());
  CHECK_FALSE(host::start_ticks(4'194'304).has_value());
}
