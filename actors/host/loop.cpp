#include "actors/host/loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace novacron::host {

using monotonic = std::chrono::steady_clock;

struct loop::state {
  int epoll = -1;
  int wake = -1;
  std::mutex guard;
  /// Held while a callback of a watched fd runs, so that `forget` can wait for its end.
  std::recursive_mutex running;
  /// By fd, the ticket under which epoll reports it; a ticket tells a reused descriptor from the one that was watched.
  std::map<int, std::uint64_t> tickets;
  std::map<std::uint64_t, std::shared_ptr<ready>> watched;
  std::multimap<monotonic::time_point, task> timers;
  std::vector<task> posted;
  std::uint64_t ticket = 0;
  bool over = false;
  std::thread thread;

  void nudge() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake, &one, sizeof one);
  }

  int wait_ms() {
    const auto lock = std::lock_guard{guard};
    // Over since it was looked at last: the nudge that said so may be taken already, with an earlier one.
    if (over || !posted.empty())
      return 0;
    if (timers.empty())
      return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers.begin()->first - monotonic::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }

  std::vector<task> take_due() {
    const auto lock = std::lock_guard{guard};
    auto due = std::exchange(posted, {});
    const auto now = monotonic::now();
    while (!timers.empty() && timers.begin()->first <= now) {
      due.push_back(std::move(timers.begin()->second));
      timers.erase(timers.begin());
    }
    return due;
  }

  void dispatch(const epoll_event& event) {
    if (event.data.u64 == 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto got = ::read(wake, &count, sizeof count);
      return;
    }
    const auto busy = std::lock_guard{running};
    auto what = std::shared_ptr<ready>{};
    {
      const auto lock = std::lock_guard{guard};
      if (const auto entry = watched.find(event.data.u64); entry != watched.end())
        what = entry->second;
    }
    if (what)
      (*what)(event.events);
  }

  void run() {
    auto events = std::array<epoll_event, 64>{};
    for (;;) {
      const auto count = ::epoll_wait(epoll, events.data(), events.size(), wait_ms());
      {
        const auto lock = std::lock_guard{guard};
        if (over)
          return;
      }
      for (auto i = 0; i < count; ++i)
        dispatch(events[static_cast<std::size_t>(i)]);
      for (auto& due : take_due())
        due();
    }
  }
};

loop::loop() : state_{std::make_unique<state>()} {
  state_->epoll = ::epoll_create1(EPOLL_CLOEXEC);
  state_->wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (state_->epoll < 0 || state_->wake < 0)
    throw std::system_error{errno, std::system_category(), "cannot make an event loop"};
  auto event = epoll_event{.events = EPOLLIN, .data = {.u64 = 0}};
  ::epoll_ctl(state_->epoll, EPOLL_CTL_ADD, state_->wake, &event);
  state_->thread = std::thread{[s = state_.get()] { s->run(); }};
}

void loop::end() {
  {
    const auto lock = std::lock_guard{state_->guard};
    state_->over = true;
  }
  state_->nudge();
  if (state_->thread.joinable())
    state_->thread.join();
}

loop::~loop() {
  end();
  ::close(state_->wake);
  ::close(state_->epoll);
}

void loop::watch(int fd, std::uint32_t events, ready what) {
  const auto lock = std::lock_guard{state_->guard};
  const auto known = state_->tickets.find(fd);
  auto event = epoll_event{.events = events, .data = {.u64 = ++state_->ticket}};
  const auto action = known == state_->tickets.end() ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(state_->epoll, action, fd, &event) != 0)
    throw std::system_error{errno, std::system_category(), "cannot watch a descriptor"};
  if (known != state_->tickets.end())
    state_->watched.erase(known->second);
  state_->tickets[fd] = state_->ticket;
  state_->watched[state_->ticket] = std::make_shared<ready>(std::move(what));
}

void loop::forget(int fd) {
  const auto busy = std::lock_guard{state_->running};
  const auto lock = std::lock_guard{state_->guard};
  const auto known = state_->tickets.find(fd);
  if (known == state_->tickets.end())
    return;
  ::epoll_ctl(state_->epoll, EPOLL_CTL_DEL, fd, nullptr);
  state_->watched.erase(known->second);
  state_->tickets.erase(known);
}

void loop::post(task what) {
  {
    const auto lock = std::lock_guard{state_->guard};
    state_->posted.push_back(std::move(what));
  }
  state_->nudge();
}

void loop::after(std::chrono::nanoseconds delay, task what) {
  {
    const auto lock = std::lock_guard{state_->guard};
    state_->timers.emplace(monotonic::now() + std::chrono::duration_cast<monotonic::duration>(delay), std::move(what));
  }
  state_->nudge();
}

} // namespace novacron::host
