#include "actors/migration/bench_link.hpp"

#include "actors/host/files.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

namespace novacron::migration {
namespace {

void run(std::vector<std::string> words) {
  const auto name = fmt::format("{}", fmt::join(words, " "));
  const auto done = host::run({.argv = std::move(words)});
  if (done.how.code != 0)
    throw std::runtime_error{fmt::format(
        "the bench's link cannot be made (it takes root, iproute2 and util-linux): {}: {}", name, done.err)};
}

/// Does `work` in the network of the process, in a thread of its own: sockets stay where they were made.
void within(pid_t pid, const std::function<void()>& work) {
  auto wrong = std::exception_ptr{};
  std::jthread{[&] {
    try {
      const auto place = ::open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC);
      const auto code = ::setns(place, CLONE_NEWNET);
      ::close(place);
      if (code != 0)
        throw std::runtime_error{"the bench's network cannot be entered"};
      work();
    } catch (...) {
      wrong = std::current_exception();
    }
  }}.join();
  if (wrong)
    std::rethrow_exception(wrong);
}

int checked(int code, const char* what) {
  if (code < 0)
    throw std::runtime_error{fmt::format("{}: {}", what, std::strerror(errno))};
  return code;
}

} // namespace

bench_link::bench_link(double rate) {
  for (auto& each : hosts_)
    each = host::start({.argv = {"unshare", "--net", "sleep", "infinity"}, .dies_with_us = true});
  const auto network = [](pid_t pid) {
    auto error = std::error_code{};
    return std::filesystem::read_symlink(fmt::format("/proc/{}/ns/net", pid), error);
  };
  for (const auto& each : hosts_)
    while (network(each.pid) == network(::getpid()))
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
  run({"ip", "link", "add", "bench0", "netns", std::to_string(hosts_[0].pid), "type", "veth", "peer", "name", "bench0",
       "netns", std::to_string(hosts_[1].pid)});
  for (const auto i : {std::size_t{0}, std::size_t{1}}) {
    const auto here = [&](std::vector<std::string> words) {
      auto all = on(i);
      all.insert(all.end(), words.begin(), words.end());
      run(all);
    };
    here({"ip", "addr", "add", address(i) + "/24", "dev", "bench0"});
    here({"ip", "link", "set", "lo", "up"});
    here({"ip", "link", "set", "bench0", "up"});
    // What 50 ms bring may wait, as in a switch; the bucket holds what comes between two ticks of the kernel.
    if (rate > 0)
      here({"tc", "qdisc", "add", "dev", "bench0", "root", "tbf", "rate", fmt::format("{:.0f}", rate) + "bit", "burst",
            fmt::format("{:.0f}", std::max(rate / 8 / 250, 65536.0) + 65536), "latency", "50ms"});
  }
}

bench_link::~bench_link() {
  for (const auto& each : hosts_)
    if (each.pid > 0) {
      ::kill(each.pid, SIGKILL);
      ::waitpid(each.pid, nullptr, 0);
      ::close(each.pidfd);
    }
}

std::vector<std::string> bench_link::on(std::size_t host) const {
  return {"nsenter", fmt::format("--net=/proc/{}/ns/net", hosts_[host].pid)};
}

std::string bench_link::address(std::size_t host) {
  return fmt::format("198.18.0.{}", host + 1);
}

std::uint64_t bench_link::bytes() const {
  const auto text = host::read_file(fmt::format("/proc/{}/net/dev", hosts_[0].pid)).value_or("");
  const auto at = text.find("bench0:");
  if (at == text.npos)
    return 0;
  // Eight numbers of what came in are before those of what went out.
  auto numbers = std::istringstream{text.substr(at + 7)};
  auto x = std::uint64_t{0};
  for (auto i = 0; i < 9; ++i)
    numbers >> x;
  return x;
}

std::pair<std::vector<int>, std::vector<int>> bench_link::connect(std::size_t count) const {
  auto where = sockaddr_in{};
  where.sin_family = AF_INET;
  ::inet_pton(AF_INET, address(1).c_str(), &where.sin_addr);
  auto* const place = reinterpret_cast<sockaddr*>(&where);
  auto listener = -1;
  within(hosts_[1].pid, [&] {
    listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "no socket");
    auto size = socklen_t{sizeof where};
    checked(::bind(listener, place, sizeof where), "no place to listen");
    checked(::listen(listener, static_cast<int>(count)), "nothing to listen with");
    checked(::getsockname(listener, place, &size), "no place to listen");
  });
  auto ends = std::pair<std::vector<int>, std::vector<int>>{};
  within(hosts_[0].pid, [&] {
    for (auto i = std::size_t{0}; i < count; ++i) {
      ends.first.push_back(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "no socket"));
      checked(::connect(ends.first.back(), place, sizeof where), "the bench's link does not carry a connection");
      ends.second.push_back(checked(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "no connection came"));
    }
  });
  ::close(listener);
  return ends;
}

} // namespace novacron::migration
