#include "actors/host/crew.hpp"
#include "actors/host/loop.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <thread>

using namespace novacron;
using namespace std::chrono_literals;

SCENARIO("a crew that was ended waits for what it had begun, and takes no more") {
  auto gate = std::promise<void>{};
  auto begun = std::promise<void>{};
  auto done = std::atomic<int>{0};
  auto crew = host::crew{1};
  crew.give([&] {
    begun.set_value();
    gate.get_future().wait();
    ++done;
  });
  crew.give([&] { done += 10; });
  begun.get_future().wait();
  auto opener = std::thread{[&] {
    std::this_thread::sleep_for(20ms);
    gate.set_value();
  }};
  crew.end();
  CHECK(done == 1);
  crew.give([&] { done += 100; });
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
