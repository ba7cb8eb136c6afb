#pragma once

/// One thread that waits for file descriptors and times, so that actors never block on them.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace novacron::host {

/// Callbacks run on the loop's thread and must be short: typically they send a message to an actor.
/// All functions may be called from any thread, callbacks included.
class loop {
public:
  using ready = std::function<void(std::uint32_t events)>;
  using task = std::function<void()>;

  loop();
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// Stops the thread; callbacks that have not run are dropped, and none runs later. From another thread only, and
  /// before anything goes that callbacks use; the destructor does what is left of it.
  void end();

  /// Calls `what` whenever `fd` has one of `events` (EPOLLIN, EPOLLOUT, ...). The caller keeps owning `fd`.
  /// Watching an fd again replaces its events and callback.
  void watch(int fd, std::uint32_t events, ready what);

  /// No callback for `fd` starts after this returns, and none is running (unless called from within it).
  void forget(int fd);

  /// Runs `what` soon.
  void post(task what);

  /// Runs `what` once, after `delay` of the monotonic clock.
  void after(std::chrono::nanoseconds delay, task what);

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace novacron::host
