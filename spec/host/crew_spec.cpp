#include "actors/host/crew.hpp"
#include "actors/host/loop.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;

SCENARIO("a crew that was ended waits for what it had begun, and drops the rest") {
  auto gate = std::promise<void>{};
  auto begun = std::promise<void>{};
  auto done = std::atomic<int>{0};
  auto crew = host::crew{1};
  // Work that was dropped is gone; work that only never ran would still hold what it was given.
  const auto held = std::make_shared<int>(0);
  crew.give([&, held] {
    begun.set_value();
    gate.get_future().wait();
    ++done;
  });
  crew.give([&, held] { done += 10; });
  CHECK(held.use_count() > 1);
  begun.get_future().wait();
  auto opener = std::thread{[&] {
    std::this_thread::sleep_for(20ms);
    gate.set_value();
  }};
  crew.end();
  CHECK(done == 1);
  CHECK(held.use_count() == 1);
  crew.give([&, held] { done += 100; });
  CHECK(held.use_count() == 1);
  crew.end();
  CHECK(done == 1);
  opener.join();
}

SCENARIO("a loop and a crew that give each other work can be ended in the middle of it") {
  for (auto round = 0; round < 200; ++round) {
    auto turns = std::atomic<int>{0};
    {
      auto loop = host::loop{};
      auto crew = host::crew{2};
      auto again = std::function<void()>{};
      again = [&] {
        ++turns;
        crew.give([&] { loop.post([&] { again(); }); });
      };
      loop.post([&] { again(); });
      while (turns < 3)
        std::this_thread::yield();
      crew.end();
      loop.end();
    }
    CHECK(turns >= 3);
  }
}
