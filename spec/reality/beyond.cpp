#include "spec/reality/beyond.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <utility>

namespace novacron::spec {

using namespace std::chrono_literals;

namespace {

constexpr auto device = "nvspecfar";

/// Waits for its device, takes its address, serves.
constexpr auto script =
    "until ip address add 198.51.100.2/24 dev far 2>/dev/null; do sleep 0.05; done; ip link set lo up; "
    "ip link set far up; exec busybox httpd -f -p 80 -h \"$1\"";

void must(std::vector<std::string> argv) {
  const auto said = host::run({.argv = std::move(argv)});
  INFO(said.err);
  CHECK(said.how.code == 0);
}

} // namespace

beyond::beyond(const std::filesystem::path& www)
    : child_{host::start({.argv = {"unshare", "--net", "sh", "-c", script, "sh", www}, .dies_with_us = true})} {
  const auto pid = std::to_string(child_.pid);
  const auto own = std::filesystem::read_symlink("/proc/self/ns/net");
  while (std::filesystem::read_symlink("/proc/" + pid + "/ns/net") == own)
    std::this_thread::sleep_for(5ms);
  must({"ip", "link", "add", device, "type", "veth", "peer", "name", "far", "netns", pid});
  must({"ip", "address", "add", "198.51.100.1/24", "dev", device});
  must({"ip", "link", "set", device, "up"});
  auto served = host::finished{};
  for (auto i = 0; i < 200; ++i, std::this_thread::sleep_for(20ms))
    if (served = run({"busybox", "wget", "-q", "-O", "-", "http://127.0.0.1/index.html"}); served.how.code == 0)
      break;
  REQUIRE(served.out == "hello\n");
}

beyond::~beyond() {
  ::kill(child_.pid, SIGKILL);
  ::waitpid(child_.pid, nullptr, 0);
  ::close(child_.pidfd);
}

host::finished beyond::run(std::vector<std::string> argv) const {
  auto all = std::vector<std::string>{"nsenter", "--net", "--target", std::to_string(child_.pid)};
  all.insert(all.end(), argv.begin(), argv.end());
  return host::run({.argv = std::move(all)});
}

} // namespace novacron::spec
