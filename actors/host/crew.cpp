#include "actors/host/crew.hpp"

#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace novacron::host {

struct crew::state {
  std::mutex guard;
  std::condition_variable changed;
  std::list<std::function<void()>> waiting;
  bool over = false;
  std::vector<std::thread> threads;
  std::function<void(std::function<void()>)> runner;

  void run() {
    auto lock = std::unique_lock{guard};
    for (;;) {
      changed.wait(lock, [&] { return over || !waiting.empty(); });
      if (over)
        return;
      auto work = std::move(waiting.front());
      waiting.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  }
};

crew::crew(unsigned threads) : state_{std::make_unique<state>()} {
  for (auto i = 0u; i < threads; ++i)
    state_->threads.emplace_back([s = state_.get()] { s->run(); });
}

crew::crew(std::function<void(std::function<void()>)> runner) : state_{std::make_unique<state>()} {
  state_->runner = std::move(runner);
}

crew::~crew() {
  end();
}

void crew::end() {
  {
    const auto lock = std::lock_guard{state_->guard};
    state_->over = true;
    state_->changed.notify_all();
  }
  for (auto& thread : state_->threads)
    thread.join();
  state_->threads.clear();
  // What it holds may go now, before the crew does. Without the guard: its end may give work.
  auto dropped = std::list<std::function<void()>>{};
  {
    const auto lock = std::lock_guard{state_->guard};
    dropped.swap(state_->waiting);
  }
}

void crew::give(std::function<void()> work) {
  if (state_->runner)
    return state_->runner(std::move(work));
  // Told with the guard held: once it is free, whoever ends this crew may also free it.
  const auto lock = std::lock_guard{state_->guard};
  if (state_->over)
    return;
  state_->waiting.push_back(std::move(work));
  state_->changed.notify_one();
}

} // namespace novacron::host
