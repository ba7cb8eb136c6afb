#include "actors/shell/exec.hpp"

#include "actors/shell/follow.hpp"
#include "actors/shell/interrupt.hpp"
#include "actors/shell/views.hpp"

#include <fmt/format.h>

#include <array>
#include <atomic>
#include <csignal>
#include <ostream>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

namespace novacron::shell {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// How long the fabric may wait for output while we cannot look at our input: what a key press waits at most.
constexpr auto wait_busy = milliseconds{20};
constexpr auto wait_idle = milliseconds{60};
/// A session without input and output for so many rounds is idle.
constexpr auto rounds_busy = 100;

std::atomic<bool> resized = false;
std::atomic<int> forwarded = 0;

void on_resize(int) {
  resized = true;
}
void on_signal(int number) {
  forwarded = number;
}

/// Takes over some signals and gives them back.
class signals {
public:
  signals() {
    for (auto i = std::size_t{0}; i < numbers.size(); ++i) {
      struct sigaction action {};
      action.sa_handler = numbers[i] == SIGWINCH ? on_resize : on_signal;
      ::sigaction(numbers[i], &action, &before[i]);
    }
  }
  ~signals() {
    for (auto i = std::size_t{0}; i < numbers.size(); ++i)
      ::sigaction(numbers[i], &before[i], nullptr);
  }
  signals(const signals&) = delete;
  signals& operator=(const signals&) = delete;

private:
  static constexpr auto numbers = std::array{SIGWINCH, SIGTERM, SIGHUP, SIGQUIT, SIGINT};
  std::array<struct sigaction, numbers.size()> before{};
};

/// Makes the terminal raw, so that each key reaches the command, and restores it.
class raw_terminal {
public:
  explicit raw_terminal(bool wanted) : active{wanted && ::tcgetattr(0, &before) == 0} {
    if (!active)
      return;
    auto raw = before;
    ::cfmakeraw(&raw);
    ::tcsetattr(0, TCSADRAIN, &raw);
  }
  ~raw_terminal() {
    if (active)
      ::tcsetattr(0, TCSADRAIN, &before);
  }
  raw_terminal(const raw_terminal&) = delete;
  raw_terminal& operator=(const raw_terminal&) = delete;

private:
  termios before{};
  bool active;
};

struct size {
  unsigned rows = 24;
  unsigned columns = 80;
};

size terminal_size() {
  auto now = winsize{};
  return ::ioctl(0, TIOCGWINSZ, &now) == 0 && now.ws_row ? size{now.ws_row, now.ws_col} : size{};
}

/// What is to be read from our input right now; nothing when it has ended.
std::optional<std::string> take_input() {
  auto ready = pollfd{0, POLLIN, 0};
  if (::poll(&ready, 1, 0) <= 0)
    return std::string{};
  auto bytes = std::string(32u << 10, '\0');
  const auto count = ::read(0, bytes.data(), bytes.size());
  if (count < 0)
    return errno == EINTR || errno == EAGAIN ? std::optional{std::string{}} : std::nullopt;
  if (count == 0)
    return {};
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

class talk {
public:
  talk(std::string path, bool gives_input, bool terminal, session& with)
      : path{std::move(path)}, input_open{gives_input}, terminal{terminal}, with{with} {
    if (!gives_input)
      next.set_input_ended(true);
  }

  int to_the_end() {
    while (true) {
      gather();
      const auto wait = quiet < rounds_busy ? wait_busy : wait_idle;
      next.set_wait_ms(static_cast<std::uint64_t>(wait.count()));
      const auto output = read<v1::ExecOutput>(with.fabric().post(path, json_of(next), wait));
      const auto moved = !next.input().empty() || !output.output().empty() || !output.errors().empty();
      next.Clear();
      quiet = moved ? 0 : quiet + 1;
      with.out << output.output();
      deliver(with.out);
      with.err << output.errors() << std::flush;
      if (output.exited())
        return output.exit_code();
    }
  }

private:
  void gather() {
    if (input_open) {
      if (auto bytes = take_input())
        next.set_input(std::move(*bytes));
      else {
        input_open = false;
        next.set_input_ended(true);
      }
    }
    if (const auto number = forwarded.exchange(0))
      next.set_signal(number);
    if (terminal && resized.exchange(false)) {
      const auto now = terminal_size();
      next.set_rows(now.rows);
      next.set_columns(now.columns);
    }
  }

  std::string path;
  bool input_open;
  bool terminal;
  session& with;
  v1::ExecExchange next;
  int quiet = 0;
};

} // namespace

int exec(const invocation& what, session& with) {
  const auto terminal = what.has("tty");
  if (terminal && !::isatty(0))
    throw failure{exit_code::usage, "-t needs a terminal as standard input; leave it out in a pipe"};
  const auto instance = instance_name(what.argument(0), with);
  auto start = v1::ExecStart{};
  start.set_instance(instance);
  for (auto i = std::size_t{1}; i < what.arguments.size(); ++i)
    start.add_command(what.arguments[i]);
  for (const auto& x : what.all("env")) {
    const auto equals = x.find('=');
    if (equals == 0 || equals == x.npos)
      throw failure{exit_code::usage, fmt::format("--env is '{}', but must be NAME=VALUE", x)};
    (*start.mutable_env())[x.substr(0, equals)] = x.substr(equals + 1);
  }
  if (terminal) {
    start.set_terminal(true);
    start.set_rows(terminal_size().rows);
    start.set_columns(terminal_size().columns);
    const auto* type = std::getenv("TERM");
    start.mutable_env()->insert({"TERM", type ? type : "xterm"});
  }
  const auto base = "/v1/instances/" + url_encode(instance);
  const auto opened = read<v1::ExecSession>(with.fabric().post(base + ":exec", json_of(start)));
  auto conversation = talk{base + "/exec/" + url_encode(opened.session()), what.has("interactive"), terminal, with};
  forwarded = 0;
  resized = false;
  const auto caught = signals{};
  const auto raw = raw_terminal{terminal};
  return conversation.to_the_end();
}

} // namespace novacron::shell
