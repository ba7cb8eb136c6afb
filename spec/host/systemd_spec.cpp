#include "actors/host/process.hpp"
#include "actors/host/systemd.hpp"

#include "spec/skip.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <system_error>

using namespace novacron;
using namespace std::chrono_literals;

namespace {

/// Listens where systemd would.
struct init_system {
  int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  explicit init_system(const std::string& name) {
    auto address = sockaddr_un{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    address.sun_path[0] = name[0] == '@' ? '\0' : name[0];
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())) == 0);
  }
  ~init_system() { ::close(fd); }
  std::string heard() const {
    auto text = std::string(1000, '\0');
    const auto count = ::recv(fd, text.data(), text.size(), 0);
    return text.substr(0, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
};

} // namespace

SCENARIO("systemd hears how the service is doing") {
  const auto name = "@novacron-spec-" + std::to_string(::getpid());
  const auto init = init_system{name};
  ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const auto notifier = host::service_notifier::from_environment();
  CHECK(notifier.ready("3 nodes"));
  CHECK(init.heard() == "READY=1\nSTATUS=3 nodes\nMAINPID=" + std::to_string(::getpid()));
  CHECK(notifier.status("two\nREADY=0"));
  CHECK(init.heard() == "STATUS=two READY=0");
  CHECK(notifier.beat());
  CHECK(init.heard() == "WATCHDOG=1");
  CHECK(notifier.stopping("drained"));
  CHECK(init.heard() == "STOPPING=1\nSTATUS=drained");
  CHECK(notifier.beat_period() == 1500ms);
  THEN("children do not inherit the line") {
    CHECK(std::getenv("NOTIFY_SOCKET") == nullptr);
    CHECK(std::getenv("WATCHDOG_USEC") == nullptr);
  }
}

SCENARIO("without systemd nothing is told and nothing fails") {
  const auto alone = host::service_notifier::from_environment();
  CHECK_FALSE(alone.ready("here"));
  CHECK_FALSE(alone.beat_period());
  CHECK_FALSE(host::service_notifier("/nowhere/notify", 1s).beat());
  CHECK_FALSE(host::service_notifier(std::string(200, '/'), 1s).beat());
  CHECK_FALSE(host::service_notifier("relative", 1s).beat());
  ::setenv("NOTIFY_SOCKET", "/x", 1);
  ::setenv("WATCHDOG_USEC", "1000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  CHECK_FALSE(host::service_notifier::from_environment().beat_period());
}

SCENARIO("the edge unit is as tight as we promise") {
  const auto unit = std::string{HOUSE_ROOT "/share/systemd/novacron-edge.service"};
  try {
    const auto done =
        host::run({.argv = {"systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit}});
    INFO(done.out.substr(done.out.size() > 300 ? done.out.size() - 300 : 0) << done.err);
    CHECK(done.how.code == 0);
  } catch (const std::system_error&) {
    spec::skip("the edge unit is as tight as we promise", "there is no systemd-analyze");
  }
}
