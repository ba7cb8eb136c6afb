#include "actors/shell/interrupt.hpp"

#include "actors/shell/failure.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>

namespace novacron::shell::interrupt {
namespace {

std::atomic<int> presses = 0;
std::atomic<int> event = -1;

void pressed(int) {
  if (presses.fetch_add(1) >= 1)
    ::_exit(static_cast<int>(exit_code::interrupted));
  const auto one = std::uint64_t{1};
  [[maybe_unused]] const auto written = ::write(event, &one, sizeof one);
}

} // namespace

void install() {
  if (event != -1)
    return;
  event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = pressed;
  // No SA_RESTART: a read from the terminal shall end as well.
  ::sigaction(SIGINT, &action, nullptr);
}

void clear() {
  auto count = std::uint64_t{0};
  if (event != -1) [[maybe_unused]]
    const auto taken = ::read(event, &count, sizeof count);
  presses = 0;
}

bool pending() {
  return presses > 0;
}

short wait(int descriptor, short events, int milliseconds) {
  // Nothing is asked of our output: errors and the end of its reader are told all the same.
  auto all = std::array{pollfd{descriptor, events, 0}, pollfd{event, POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0}};
  const auto some = ::poll(all.data(), all.size(), milliseconds);
  if (pending())
    throw interrupted{};
  if (some > 0 && (all[2].revents & (POLLERR | POLLHUP)) != 0)
    throw reader_gone{};
  return some > 0 ? all[0].revents : short{0};
}

void pause(int milliseconds) {
  wait(-1, 0, milliseconds);
}

bool reader_is_gone() {
  auto out = pollfd{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

} // namespace novacron::shell::interrupt
