#include "actors/state/ledger_process.hpp"

#include "actors/host/log.hpp"
#include "actors/host/loop.hpp"
#include "actors/host/process.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <mutex>

namespace novacron::ledger {

using monotonic = std::chrono::steady_clock;

struct ledger_process::state {
  config settings;
  std::function<void(const std::string&)> gave_up;
  std::atomic<std::uint64_t> starts = 0;
  mutable std::mutex guard;
  host::child now;
  bool over = false;
  std::deque<monotonic::time_point> recent;

  struct reaping {
    state& here;
    ~reaping() {
      if (here.now.pid > 0)
        here.reap();
    }
  } at_end{*this};

  // Last: its thread, whose end also ends the process, goes first.
  host::loop loop;

  void start() {
    const auto lock = std::lock_guard{guard};
    if (over)
      return;
    auto argv = settings.program;
    for (auto& text : arguments_of(settings.server))
      argv.push_back(std::move(text));
    recent.push_back(monotonic::now());
    try {
      now = host::start({.argv = std::move(argv), .err = STDERR_FILENO, .dies_with_us = true});
      ++starts;
    } catch (const std::exception& x) {
      loop.post([this, why = std::string{x.what()}] { again(why); });
      return;
    }
    loop.watch(now.pidfd, EPOLLIN, [this](std::uint32_t) { ended(); });
  }

  void ended() {
    auto why = std::string{};
    {
      const auto lock = std::lock_guard{guard};
      if (over)
        return;
      loop.forget(now.pidfd);
      why = reap();
    }
    again(why);
  }

  /// With the guard held.
  std::string reap() {
    auto status = 0;
    ::waitpid(now.pid, &status, 0);
    ::close(now.pidfd);
    now = {};
    return WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                               : "ended with code " + std::to_string(WEXITSTATUS(status));
  }

  void again(const std::string& why) {
    const auto time = monotonic::now();
    while (!recent.empty() && recent.front() + settings.starts_period < time)
      recent.pop_front();
    if (recent.size() >= settings.starts_max) {
      host::log_error("ledger", "the ledger's process {}; it was started {} times lately, that is enough", why, recent.size());
      return gave_up(why);
    }
    host::log_warn("ledger", "the ledger's process {}; it is started again", why);
    const auto doubled = settings.wait_min * (1u << std::min<std::size_t>(recent.size() - 1, 16));
    loop.after(std::min<duration>(doubled, settings.wait_max), [this] { start(); });
  }

};

ledger_process::ledger_process(config settings, std::function<void(const std::string&)> gave_up)
    : state_{std::make_unique<state>()} {
  state_->settings = std::move(settings);
  state_->gave_up = std::move(gave_up);
  // The process dies with the thread that started it: the loop's, not that of whichever worker runs the caller.
  state_->loop.post([s = state_.get()] { s->start(); });
}

ledger_process::~ledger_process() {
  const auto lock = std::lock_guard{state_->guard};
  state_->over = true;
  if (state_->now.pid > 0)
    ::kill(state_->now.pid, SIGTERM);
}

std::uint64_t ledger_process::starts() const { return state_->starts; }

int ledger_process::pid() const {
  const auto lock = std::lock_guard{state_->guard};
  return state_->now.pid;
}

} // namespace novacron::ledger
