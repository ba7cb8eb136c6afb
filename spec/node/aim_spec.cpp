#include "actors/node/relay.hpp"
#include "spec/stage.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

using namespace novacron;

namespace {

/// Counts what it is handed, and finds out when it is handed something after its end.
class counting : public node::relay {
public:
  counting(caf::actor_config& config, std::shared_ptr<std::atomic<int>> seen) : relay{config}, seen_{std::move(seen)} {}
  ~counting() override { alive_ = 0; }
  void enqueue(caf::mailbox_element_ptr, caf::execution_unit*) override {
    if (alive_ != 0x600d)
      std::abort();
    std::this_thread::yield(); // so that the aim changes in the middle, too
    ++*seen_;
  }

private:
  std::shared_ptr<std::atomic<int>> seen_;
  std::atomic<int> alive_ = 0x600d;
};

} // namespace

SCENARIO("an aim may change while many threads use it") {
  auto stage = spec::stage{};
  const auto post = node::make_relay<node::post>(stage.system, "room");
  const auto seen = std::make_shared<std::atomic<int>>(0);
  auto newcomer = [&] { return caf::strong_actor_ptr{node::make_relay<counting>(stage.system, seen)->ctrl()}; };
  post->aim(newcomer());
  constexpr auto senders = 4, each = 5000;
  auto threads = std::vector<std::thread>{};
  auto going = std::atomic<int>{senders};
  for (auto i = 0; i < senders; ++i)
    threads.emplace_back([&] {
      for (auto n = 0; n < each; ++n)
        post->enqueue(caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, n), nullptr);
      --going;
    });
  while (going > 0)
    post->aim(newcomer());
  for (auto& x : threads)
    x.join();
  CHECK(*seen == senders * each);
  CHECK(post->seen.messages() == senders * each);
  post->aim(nullptr);
}

SCENARIO("an aim may change from within its own use") {
  auto stage = spec::stage{};
  const auto seen = std::make_shared<std::atomic<int>>(0);
  auto slot = node::aim{};
  auto weak = caf::weak_actor_ptr{};
  {
    const auto first = node::make_relay<counting>(stage.system, seen);
    slot.set(caf::strong_actor_ptr{first->ctrl()});
    weak = caf::weak_actor_ptr{first->ctrl()};
  }
  {
    const auto using_it = node::aim::use{slot};
    slot.set(nullptr);
    CHECK(caf::actor_cast<caf::strong_actor_ptr>(weak));
    CHECK(using_it.get() == weak.get());
    CHECK(node::aim::use{slot}.get() == nullptr);
  }
  THEN("what was used then goes with the next one") {
    slot.set(nullptr);
    slot.set(caf::strong_actor_ptr{node::make_relay<counting>(stage.system, seen)->ctrl()});
    slot.set(nullptr);
    CHECK_FALSE(caf::actor_cast<caf::strong_actor_ptr>(weak));
  }
}
