#include "actors/workload/shim_launch.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

extern "C" const char novacron_shim_begin[];
extern "C" const char novacron_shim_end[];

namespace novacron::workload {

namespace {

/// MFD_EXEC of newer headers: hosts may forbid memory files that do not say that they will be executed.
constexpr auto executable = 0x10u;

} // namespace

shim_launch::shim_launch() : fd_{::memfd_create("novacron-shim", MFD_CLOEXEC | executable)} {
  if (fd_ < 0 && errno == EINVAL)
    fd_ = ::memfd_create("novacron-shim", MFD_CLOEXEC);
  const auto size = static_cast<std::size_t>(novacron_shim_end - novacron_shim_begin);
  if (fd_ < 0 || ::write(fd_, novacron_shim_begin, size) != static_cast<ssize_t>(size))
    throw std::system_error{errno, std::system_category(), "cannot lay out the shim in memory"};
  // Out of the way of the descriptors that a child is given.
  const auto high = ::fcntl(fd_, F_DUPFD_CLOEXEC, 64);
  if (high < 0)
    throw std::system_error{errno, std::system_category(), "cannot lay out the shim in memory"};
  ::close(std::exchange(fd_, high));
}

shim_launch::~shim_launch() { ::close(fd_); }

host::child shim_launch::start(const shim_order& order) const {
  auto what = host::command{.argv = {"/proc/self/fd/" + std::to_string(fd_), "run", "dir=" + order.directory,
                                     "id=" + order.id, "crun=" + order.crun, "lower=" + order.lower,
                                     "hide=" + order.hide, "mode=" + order.mode, "address=" + order.address, "lock=3",
                                     "segment=" + std::to_string(order.log_segment_bytes),
                                     "segments=" + std::to_string(order.log_segments)},
                            .inherit = {order.lock}};
  if (order.network >= 0) {
    what.inherit.push_back(order.network);
    what.argv.emplace_back("net=4");
  }
  const auto give = [&](const char* word, int fd) {
    if (fd < 0)
      return;
    what.argv.push_back(word + std::to_string(3 + what.inherit.size()));
    what.inherit.push_back(fd);
  };
  give("link=", order.link);
  give("state=", order.state);
  give("memory=", order.memory);
  if (order.owns_memory)
    what.argv.emplace_back("owns=1");
  if (!order.machine.empty())
    for (auto&& word : {"machine=" + order.machine, std::string{order.relays ? "relays=1" : "relays=0"}})
      what.argv.push_back(word);
  if (order.patience_ms > 0)
    for (auto&& word : {"lease=" + order.lease, "patience=" + std::to_string(order.patience_ms),
                        "grace=" + std::to_string(order.grace_ms), "signal=" + std::to_string(order.stop_signal)})
      what.argv.push_back(word);
  for (const auto& group : order.cgroups)
    what.argv.push_back("cgroup=" + group);
  for (const auto& [host, inside] : order.ports)
    what.argv.push_back("port=" + std::to_string(host) + ":" + std::to_string(inside));
  return host::start(what);
}

std::vector<std::string> shim_launch::inside(const std::string& hide) const {
  if (hide.empty())
    return {};
  return {"/proc/self/fd/" + std::to_string(fd_), "inside", hide};
}

} // namespace novacron::workload
