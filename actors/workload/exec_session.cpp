#include "actors/workload/exec_session.hpp"

#include "actors/host/files.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>

namespace novacron::workload {
namespace {

/// Output that waits to be taken; more stays in the pipe, so that the process waits too.
constexpr std::size_t waiting_max = 256 << 10;

struct source {
  int fd = -1;
  std::string waiting;
  bool watched = false;
};

/// Descriptors are touched on the loop's thread only; `guard` protects what both sides see.
struct core : std::enable_shared_from_this<core> {
  host::loop& loop;
  host::child child;
  std::filesystem::path pid_file;
  std::filesystem::path socket_file;
  std::mutex guard;
  std::array<source, 2> sources;
  int input = -1;
  int listener = -1;
  bool terminal = false;
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  bool ended = false;
  bool drained = false;
  bool dropped = false;
  int code = 0;
  std::function<void()> waiter;

  explicit core(host::loop& l) : loop{l} {}
  core(const core&) = delete;
  core& operator=(const core&) = delete;
  ~core() {
    for (const auto fd : {input, listener, sources[0].fd, sources[1].fd})
      if (fd >= 0)
        ::close(fd);
    ::unlink(pid_file.c_str());
    ::unlink(socket_file.c_str());
  }

  /// Whoever waits is told, outside the lock.
  void tell() {
    auto told = std::function<void()>{};
    {
      const auto lock = std::lock_guard{guard};
      if (sources[0].waiting.empty() && sources[1].waiting.empty() && !(ended && drained))
        return;
      told = std::exchange(waiter, nullptr);
    }
    if (told)
      told();
  }

  void watch(source& x) {
    if (x.fd < 0 || x.watched)
      return;
    x.watched = true;
    loop.watch(x.fd, EPOLLIN, [self = shared_from_this(), &x](std::uint32_t) { self->fill(x); });
  }

  void close_source(source& x) {
    if (x.watched)
      loop.forget(x.fd);
    x.watched = false;
    if (x.fd >= 0)
      ::close(std::exchange(x.fd, -1));
  }

  void fill(source& x) {
    auto block = std::array<char, 16384>{};
    const auto room = [&] {
      const auto lock = std::lock_guard{guard};
      return x.waiting.size() < waiting_max;
    };
    while (x.fd >= 0 && room()) {
      const auto count = ::read(x.fd, block.data(), block.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0 && errno == EAGAIN)
        break;
      if (count <= 0) {
        close_source(x); // a terminal whose process has gone answers EIO
        break;
      }
      const auto lock = std::lock_guard{guard};
      x.waiting.append(block.data(), static_cast<std::size_t>(count));
    }
    if (x.watched && !room()) {
      loop.forget(x.fd);
      x.watched = false;
    }
    if (ended)
      finish();
    tell();
  }

  /// After the end: what is still in the pipes counts, what others who hold them may write later does not.
  void finish() {
    auto full = false;
    for (auto& x : sources) {
      const auto lock = std::lock_guard{guard};
      full = full || (x.fd >= 0 && x.waiting.size() >= waiting_max);
    }
    if (full)
      return;
    for (auto& x : sources)
      close_source(x);
    const auto lock = std::lock_guard{guard};
    drained = true;
  }

  void child_ended(host::ending how) {
    {
      const auto lock = std::lock_guard{guard};
      ended = true;
      code = how.code;
    }
    if (listener >= 0)
      take_terminal(); // it may have come and ended in one turn of the loop
    if (listener >= 0) {
      loop.forget(listener);
      ::close(std::exchange(listener, -1));
    }
    for (auto& x : sources)
      fill(x);
    finish();
    tell();
  }

  void resume() {
    for (auto& x : sources)
      if (ended && !drained)
        fill(x);
      else
        watch(x);
  }

  void take_terminal() {
    const auto connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0)
      return;
    auto byte = char{};
    auto part = iovec{&byte, 1};
    alignas(cmsghdr) auto space = std::array<char, CMSG_SPACE(sizeof(int))>{};
    auto message = msghdr{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    const auto got = ::recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    ::close(connection);
    const auto* head = got >= 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (head == nullptr || head->cmsg_type != SCM_RIGHTS)
      return;
    auto master = -1;
    std::memcpy(&master, CMSG_DATA(head), sizeof master);
    loop.forget(listener);
    ::close(std::exchange(listener, -1));
    ::fcntl(master, F_SETFL, O_NONBLOCK);
    {
      const auto lock = std::lock_guard{guard};
      sources[0].fd = master;
      input = ::fcntl(master, F_DUPFD_CLOEXEC, 0);
    }
    set_size();
    watch(sources[0]);
  }

  void set_size() {
    const auto lock = std::lock_guard{guard};
    const auto size = winsize{rows, columns, 0, 0};
    if (terminal && input >= 0)
      ::ioctl(input, TIOCSWINSZ, &size);
  }

  void signal(int number) {
    const auto pid = std::atoi(host::read_file(pid_file).value_or("").c_str());
    if (pid > 0)
      ::kill(pid, number);
  }

  void drop() {
    if (!ended) {
      signal(SIGKILL);
      ::kill(child.pid, SIGKILL);
    }
    for (auto& x : sources)
      close_source(x);
  }
};

class session final : public exec_process {
public:
  explicit session(std::shared_ptr<core> x) : core_{std::move(x)} {}
  ~session() override {
    core_->loop.post([held = core_] { held->drop(); });
  }

  std::size_t write(std::string_view text) override {
    const auto lock = std::lock_guard{core_->guard};
    if (core_->input < 0)
      return 0;
    const auto count = ::write(core_->input, text.data(), text.size());
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  void end_input() override {
    const auto lock = std::lock_guard{core_->guard};
    if (core_->input < 0)
      return;
    // A terminal has no end of its own; this is the key for it.
    if (core_->terminal)
      [[maybe_unused]] const auto sent = ::write(core_->input, "\x04", 1);
    else
      ::close(std::exchange(core_->input, -1));
  }

  void resize(std::uint16_t rows, std::uint16_t columns) override {
    {
      const auto lock = std::lock_guard{core_->guard};
      core_->rows = rows;
      core_->columns = columns;
    }
    core_->set_size();
  }

  void signal(int number) override { core_->signal(number); }

  output take() override {
    auto now = output{};
    const auto lock = std::lock_guard{core_->guard};
    const auto was_full =
        core_->sources[0].waiting.size() >= waiting_max || core_->sources[1].waiting.size() >= waiting_max;
    now.out = std::exchange(core_->sources[0].waiting, {});
    now.err = std::exchange(core_->sources[1].waiting, {});
    now.exited = core_->ended && core_->drained;
    now.code = core_->code;
    if (was_full)
      core_->loop.post([held = core_] { held->resume(); });
    return now;
  }

  void when_ready(std::function<void()> what) override {
    {
      const auto lock = std::lock_guard{core_->guard};
      core_->waiter = std::move(what);
    }
    core_->tell();
  }

private:
  std::shared_ptr<core> core_;
};

int listen_at(const std::filesystem::path& where) {
  auto name = sockaddr_un{};
  name.sun_family = AF_UNIX;
  const auto text = where.string();
  const auto fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (text.size() >= sizeof name.sun_path)
    throw std::system_error{ENAMETOOLONG, std::system_category(), "cannot listen at " + text};
  std::memcpy(name.sun_path, text.c_str(), text.size() + 1);
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 || ::listen(fd, 1) != 0) {
    const auto problem = errno;
    if (fd >= 0)
      ::close(fd);
    throw std::system_error{problem, std::system_category(), "cannot listen at " + text};
  }
  return fd;
}

std::array<int, 2> pipe_for(bool we_read) {
  auto ends = std::array<int, 2>{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error{errno, std::system_category(), "cannot make a pipe"};
  ::fcntl(ends[we_read ? 0 : 1], F_SETFL, O_NONBLOCK);
  return ends;
}

} // namespace

std::shared_ptr<exec_process> start_exec(host::loop& loop, const exec_launch& what) {
  auto self = std::make_shared<core>(loop);
  self->pid_file = what.scratch / ("exec-" + what.session + ".pid");
  self->socket_file = what.scratch / ("exec-" + what.session + ".tty");
  // Of a session of that name in a former life, whose node was killed: the one cannot be listened at, and the other
  // names a process that may be anybody's by now.
  ::unlink(self->socket_file.c_str());
  ::unlink(self->pid_file.c_str());
  self->terminal = what.order.terminal;
  self->rows = what.order.rows;
  self->columns = what.order.columns;
  auto command = host::command{.argv = what.crun, .dies_with_us = true};
  command.argv.insert(command.argv.end(), {"exec", "--pid-file", self->pid_file.string()});
  auto theirs = std::vector<int>{};
  if (what.order.terminal) {
    self->listener = listen_at(self->socket_file);
    command.argv.insert(command.argv.end(), {"--tty", "--console-socket", self->socket_file.string()});
  } else {
    const auto in = pipe_for(false), out = pipe_for(true), err = pipe_for(true);
    self->input = in[1];
    self->sources[0].fd = out[0];
    self->sources[1].fd = err[0];
    command.in = in[0];
    command.out = out[1];
    command.err = err[1];
    theirs = {in[0], out[1], err[1]};
  }
  for (const auto& [key, value] : what.order.env)
    command.argv.insert(command.argv.end(), {"--env", key + "=" + value});
  if (!what.user.empty())
    command.argv.insert(command.argv.end(), {"--user", what.user});
  if (!what.process.empty())
    command.argv.insert(command.argv.end(), {"--process", what.process.string()});
  command.argv.push_back(what.container);
  command.argv.insert(command.argv.end(), what.order.command.begin(), what.order.command.end());
  const auto close_theirs = [&] {
    for (const auto fd : theirs)
      ::close(fd);
  };
  try {
    self->child = host::start(command);
  } catch (...) {
    close_theirs();
    throw;
  }
  close_theirs();
  loop.post([self] {
    if (self->listener >= 0)
      self->loop.watch(self->listener, EPOLLIN, [self](std::uint32_t) { self->take_terminal(); });
    self->resume();
    host::when_ended(self->loop, self->child, [self](host::ending how) { self->child_ended(how); });
  });
  return std::make_shared<session>(std::move(self));
}

} // namespace novacron::workload
