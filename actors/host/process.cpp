#include "actors/host/process.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

namespace novacron::host {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  auto all = std::vector<char*>{};
  for (const auto& text : texts)
    all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

/// The child's half, between vfork and exec: only calls that are safe there.
[[noreturn]] void become(const command& what, char* const* argv, char* const* environment, int null, int failure) {
  const auto fds = std::array{what.in < 0 ? null : what.in, what.out < 0 ? null : what.out, what.err < 0 ? null : what.err};
  // First out of the way of the places, then into place.
  constexpr auto places = static_cast<int>(3 + inherit_max);
  auto high = std::array<int, 3 + inherit_max>{};
  const auto count = std::min(high.size(), 3 + what.inherit.size());
  for (auto i = 0u; i < count; ++i)
    high[i] = ::fcntl(i < 3 ? fds[i] : what.inherit[i - 3], F_DUPFD_CLOEXEC, places);
  const auto report = ::fcntl(failure, F_DUPFD_CLOEXEC, places);
  for (auto i = 0u; i < count; ++i)
    ::dup2(high[i], static_cast<int>(i));
  ::syscall(SYS_close_range, static_cast<unsigned>(count), ~0u, CLOSE_RANGE_CLOEXEC);
  if (what.detached)
    ::setsid();
  if (what.dies_with_us)
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto none = sigset_t{};
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execvpe(argv[0], argv, environment);
  const auto reason = errno;
  [[maybe_unused]] const auto written = ::write(report, &reason, sizeof reason);
  ::_exit(127);
}

ending ending_of(int status) {
  if (WIFSIGNALED(status))
    return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

ending reap(const child& process) {
  auto status = 0;
  while (::waitpid(process.pid, &status, 0) < 0 && errno == EINTR)
    ;
  ::close(process.pidfd);
  return ending_of(status);
}

struct pipe_ends {
  int read = -1;
  int write = -1;
};

pipe_ends make_pipe() {
  auto ends = std::array<int, 2>{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error{errno, std::system_category(), "cannot make a pipe"};
  return {ends[0], ends[1]};
}

/// Appends what is there to read; false at the end of the stream.
bool drain(int fd, std::string& into) {
  auto block = std::array<char, 16384>{};
  const auto count = ::read(fd, block.data(), block.size());
  if (count > 0)
    into.append(block.data(), static_cast<std::size_t>(count));
  return count > 0 || (count < 0 && (errno == EINTR || errno == EAGAIN));
}

} // namespace

child start(const command& what) {
  const auto argv = pointers(what.argv);
  const auto own = pointers(what.environment);
  const auto null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const auto report = make_pipe();
  // vfork: the parent may be large, and the child only execs.
  const auto pid = ::vfork();
  if (pid == 0)
    become(what, argv.data(), what.environment.empty() ? ::environ : own.data(), null, report.write);
  const auto problem = errno;
  ::close(null);
  ::close(report.write);
  auto reason = pid < 0 ? problem : 0;
  if (pid > 0 && ::read(report.read, &reason, sizeof reason) == sizeof reason)
    ::waitpid(pid, nullptr, 0);
  ::close(report.read);
  if (reason != 0)
    throw std::system_error{reason, std::system_category(), "cannot start " + what.argv.front()};
  return {pid, static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

void when_ended(loop& loop, child process, std::function<void(ending)> done) {
  loop.watch(process.pidfd, EPOLLIN, [&loop, process, done = std::move(done)](std::uint32_t) {
    const auto then = done; // forget() drops this very function
    const auto target = process;
    loop.forget(target.pidfd);
    then(reap(target));
  });
}

finished run(command what, std::chrono::nanoseconds limit, const std::string& input) {
  const auto in = make_pipe();
  const auto out = make_pipe();
  const auto err = make_pipe();
  what.in = in.read;
  what.out = out.write;
  what.err = err.write;
  auto close_all = [](std::initializer_list<int> fds) {
    for (auto fd : fds)
      ::close(fd);
  };
  auto process = child{};
  try {
    process = start(what);
  } catch (...) {
    close_all({in.read, in.write, out.read, out.write, err.read, err.write});
    throw;
  }
  close_all({in.read, out.write, err.write});
  auto result = finished{};
  auto sent = std::size_t{0};
  auto in_open = !input.empty();
  if (!in_open)
    ::close(in.write);
  ::fcntl(in.write, F_SETFL, O_NONBLOCK);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  auto ended = false;
  auto open = std::array{true, true};
  while (!ended || open[0] || open[1]) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0 && !result.timed_out) {
      result.timed_out = true;
      ::kill(process.pid, SIGKILL);
    }
    auto fds = std::array{pollfd{open[0] ? out.read : -1, POLLIN, 0}, pollfd{open[1] ? err.read : -1, POLLIN, 0},
                          pollfd{ended ? -1 : process.pidfd, POLLIN, 0}, pollfd{in_open ? in.write : -1, POLLOUT, 0}};
    // A grandchild may hold the pipes open: once the process is gone only what is there now counts.
    const auto count = ::poll(fds.data(), fds.size(), ended ? 0 : static_cast<int>(std::max<std::int64_t>(left, 10)));
    if (count == 0 && ended)
      break;
    if (fds[0].revents != 0)
      open[0] = drain(out.read, result.out);
    if (fds[1].revents != 0)
      open[1] = drain(err.read, result.err);
    if (fds[3].revents != 0) {
      const auto wrote = ::write(in.write, input.data() + sent, input.size() - sent);
      sent += wrote > 0 ? static_cast<std::size_t>(wrote) : 0;
      if (sent == input.size() || (wrote < 0 && errno != EAGAIN && errno != EINTR)) {
        ::close(in.write);
        in_open = false;
      }
    }
    ended = ended || fds[2].revents != 0;
  }
  if (in_open)
    ::close(in.write);
  close_all({out.read, err.read});
  result.how = reap(process);
  return result;
}

std::optional<std::uint64_t> start_ticks(pid_t pid) {
  auto file = std::ifstream{"/proc/" + std::to_string(pid) + "/stat"};
  auto text = std::string{};
  if (!std::getline(file, text))
    return {};
  const auto after_name = text.rfind(')');
  if (after_name == text.npos)
    return {};
  auto fields = std::istringstream{text.substr(after_name + 1)};
  auto field = std::string{};
  // starttime is field 22 of proc(5); the first one after the name is field 3.
  for (auto i = 3; i <= 22; ++i)
    if (!(fields >> field))
      return {};
  return std::stoull(field);
}

} // namespace novacron::host
