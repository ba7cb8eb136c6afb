#include "actors/workload/probe.hpp"

#include "actors/workload/health.hpp"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace novacron::workload {
namespace {

/// One probe under way; lives on the loop's thread.
struct probing : std::enable_shared_from_this<probing> {
  host::loop& loop;
  probe_target target;
  then<> done;
  int fd = -1;
  bool connected = false;
  std::string answer;

  probing(host::loop& l, probe_target t, then<> d) : loop{l}, target{std::move(t)}, done{std::move(d)} {}

  void finish(outcome<> x) {
    if (!done)
      return;
    if (fd >= 0) {
      loop.forget(fd);
      ::close(fd);
    }
    std::exchange(done, nullptr)(std::move(x));
  }

  void fail(const std::string& what) {
    finish(trouble{fault::unreachable, target.address + ":" + std::to_string(target.port) + ": " + what});
  }

  void begin() {
    auto where = sockaddr_in{};
    where.sin_family = AF_INET;
    where.sin_port = htons(target.port);
    if (::inet_pton(AF_INET, target.address.c_str(), &where.sin_addr) != 1)
      return fail("is not an address");
    fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0 && errno != EINPROGRESS))
      return fail(std::strerror(errno));
    loop.watch(fd, EPOLLOUT, [self = shared_from_this()](std::uint32_t) { self->opened(); });
    loop.after(target.timeout, [self = weak_from_this()] {
      if (const auto alive = self.lock())
        alive->fail("no answer in time");
    });
  }

  void opened() {
    auto problem = 0;
    auto size = socklen_t{sizeof problem};
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    if (problem != 0)
      return fail(std::strerror(problem));
    if (target.http_path.empty())
      return finish(nothing{});
    const auto request = "GET " + target.http_path + " HTTP/1.1\r\nHost: " + target.address +
                         "\r\nUser-Agent: novacron\r\nConnection: close\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
      return fail(std::strerror(errno));
    loop.watch(fd, EPOLLIN, [self = shared_from_this()](std::uint32_t) { self->heard(); });
  }

  void heard() {
    auto block = std::array<char, 512>{};
    const auto count = ::recv(fd, block.data(), block.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    answer.append(block.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    const auto line = answer.substr(0, answer.find("\r\n"));
    if (line.size() == answer.size() && count > 0 && answer.size() < 4096)
      return;
    if (http_says_well(line))
      return finish(nothing{});
    fail("answered \"" + line.substr(0, 80) + "\"");
  }
};

struct asking {
  std::shared_ptr<exec_process> process;
  then<> done;
  void finish(outcome<> x) {
    if (const auto told = std::exchange(done, nullptr))
      told(std::move(x));
    process.reset();
  }
};

} // namespace

void probe_process(host::loop& loop, std::shared_ptr<exec_process> process, duration limit, then<> done) {
  const auto one = std::make_shared<asking>(asking{std::move(process), std::move(done)});
  const auto listen = std::make_shared<std::function<void()>>();
  *listen = [&loop, one, again = std::weak_ptr{listen}] {
    loop.post([one, again = again.lock()] {
      if (!one->process)
        return;
      const auto now = one->process->take();
      if (!now.exited)
        return one->process->when_ready([again] { (*again)(); });
      one->finish(now.code == 0 ? outcome<>{nothing{}}
                                : outcome<>{trouble{fault::unspecified, "ended with " + std::to_string(now.code)}});
    });
  };
  one->process->when_ready([listen] { (*listen)(); });
  loop.after(limit, [one] { one->finish(trouble{fault::timeout, "no answer in time"}); });
}

void probe(host::loop& loop, const probe_target& target, then<> done) {
  loop.post([one = std::make_shared<probing>(loop, target, std::move(done))] { one->begin(); });
}

void probe_instance(host::loop& loop, driver& by, const std::string& name, const wire::HealthCheck& check,
                    const std::function<void(probe_target&)>& reach, then<> done) {
  const auto limit = std::chrono::milliseconds{check.timeout_ms() > 0 ? check.timeout_ms() : 1000};
  if (check.command().empty()) {
    auto target = probe_target{.address = "127.0.0.1",
                               .port = static_cast<std::uint16_t>(check.port()),
                               .http_path = check.http_path(),
                               .timeout = limit};
    reach(target);
    return probe(loop, target, std::move(done));
  }
  const auto order = exec_order{.command = {check.command().begin(), check.command().end()}};
  by.exec(name, order, [&loop, limit, done = std::move(done)](outcome<std::shared_ptr<exec_process>> begun) {
    if (!begun)
      return done(begun.why());
    probe_process(loop, *begun, limit, done);
  });
}

} // namespace novacron::workload
