#include "actors/shell/interrupt.hpp"

#include "actors/shell/failure.hpp"

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

int descriptor() {
  return event;
}

void pause(int milliseconds) {
  auto wait = pollfd{descriptor(), POLLIN, 0};
  ::poll(&wait, 1, milliseconds);
  if (pending())
    throw interrupted{};
}

} // namespace novacron::shell::interrupt
