#include "actors/host/networks.hpp"

#include "actors/host/way_out.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace novacron::host {

using namespace std::chrono_literals;

network::network(network&& other) noexcept : fd{std::exchange(other.fd, -1)}, address{other.address} {}

network& network::operator=(network&& other) noexcept {
  std::swap(fd, other.fd);
  std::swap(address, other.address);
  return *this;
}

network::~network() {
  if (fd >= 0)
    ::close(fd);
}

ipv4 address_range::choose(std::uint32_t tag, const std::vector<ipv4>& in_use) {
  constexpr auto first = 10u << 24 | 64u << 16;
  constexpr auto networks = 4096u;
  for (auto i = 0u; i < networks; ++i) {
    const auto base = ipv4{first + ((tag + i) % networks << 10), 22};
    const auto clashes = std::ranges::any_of(in_use, [&](const ipv4& x) {
      const auto bits = 32 - std::min(x.prefix, base.prefix);
      return bits >= 32 || x.address >> bits == base.address >> bits;
    });
    if (!clashes)
      return base;
  }
  return {first + (tag % networks << 10), 22};
}

std::optional<ipv4> address_range::take() {
  const auto size = 1u << (32 - base_.prefix);
  for (auto i = 2u; i < size - 1; ++i)
    if (taken_.insert(base_.address + i).second)
      return ipv4{base_.address + i, base_.prefix};
  return {};
}

bool address_range::take(const ipv4& address) {
  const auto offset = address.address - base_.address;
  return offset >= 2 && offset < (1u << (32 - base_.prefix)) - 1 && taken_.insert(address.address).second;
}

networks::networks(std::uint32_t tag, ipv4 base, unsigned ready)
    : tag_{tag}, base_{base}, ready_max_{ready}, range_{base} {
  ensure_bridge();
}

void networks::begin() {
  refill();
}

networks::~networks() {
  workers_.reset();
  try {
    auto line = netlink{};
    for (const auto& unused : ready_) {
      line.remove(device(unused.address));
      range_.give_back(unused.address);
    }
    if (await_empty(line)) {
      line.remove(bridge());
      host::close_way_out(bridge());
    }
  } catch (const std::system_error&) {
    // Without the right to remove it the bridge stays; the next start of the node finds it.
  }
}

bool networks::await_empty(netlink& line) const {
  const auto ours = fmt::format("nv{:08x}.", tag_);
  for (const auto deadline = std::chrono::steady_clock::now() + 2s; std::chrono::steady_clock::now() < deadline;
       std::this_thread::sleep_for(5ms)) {
    auto going = false;
    for (const auto& name : line.names())
      if (name.starts_with(ours)) {
        const auto offset = static_cast<std::uint32_t>(std::strtoul(name.c_str() + ours.size(), nullptr, 10));
        if (range_.is_taken({base_.address + offset}))
          return false;
        going = true;
      }
    if (!going)
      return true;
  }
  return false;
}

void networks::open_way_out() const {
  host::open_way_out(bridge(), base_);
}

void networks::close_way_out() const {
  host::close_way_out(bridge());
}

std::string networks::bridge() const {
  return fmt::format("nova{:08x}", tag_);
}

std::string networks::device(const ipv4& address) const {
  return fmt::format("nv{:08x}.{}", tag_, address.address - base_.address);
}

void networks::ensure_bridge() {
  auto line = netlink{};
  if (!line.find(bridge()))
    line.add_bridge(bridge());
  const auto index = line.find(bridge()).value();
  try {
    line.add_address(index, range_.gateway());
  } catch (const std::system_error& problem) {
    if (problem.code().value() != EEXIST)
      throw;
  }
  line.set_up(index);
}

void networks::claim(const ipv4& address) {
  const auto lock = std::lock_guard{guard_};
  range_.take(address);
}

void networks::give_back(const ipv4& address) {
  const auto lock = std::lock_guard{guard_};
  range_.give_back(address);
}

network networks::take(std::optional<ipv4> wanted) {
  auto lock = std::unique_lock{guard_};
  const auto fits = [&](const network& x) { return !wanted || x.address.address == wanted->address; };
  if (const auto found = std::ranges::find_if(ready_, fits); found != ready_.end()) {
    auto taken = std::move(*found);
    ready_.erase(found);
    lock.unlock();
    refill();
    return taken;
  }
  const auto address = wanted ? wanted : range_.take();
  lock.unlock();
  if (!address)
    throw std::system_error{EADDRNOTAVAIL, std::system_category(), "all addresses of " + bridge() + " are given out"};
  refill();
  return make({address->address, base_.prefix});
}

network networks::attach(std::optional<ipv4> wanted) {
  {
    const auto lock = std::lock_guard{guard_};
    if (!wanted)
      wanted = range_.take();
  }
  if (!wanted)
    throw std::system_error{EADDRNOTAVAIL, std::system_category(), "all addresses of " + bridge() + " are given out"};
  auto made = network{};
  made.address = {wanted->address, base_.prefix};
  auto line = netlink{};
  line.remove(device(made.address));
  made.fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  auto request = ifreq{};
  const auto name = device(made.address);
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (made.fd < 0 || ::ioctl(made.fd, TUNSETIFF, &request) != 0) {
    const auto problem = errno;
    give_back(made.address);
    throw std::system_error{problem, std::system_category(), "cannot make a device for a machine"};
  }
  join_bridge(line, made.address);
  return made;
}

void networks::join_bridge(netlink& line, const ipv4& address) const {
  const auto index = line.find(device(address)).value();
  line.set_master(index, line.find(bridge()).value());
  line.set_up(index);
}

/// Keeps a few namespaces ready, so that a start does not wait for the kernel to make one.
void networks::refill() {
  const auto lock = std::lock_guard{guard_};
  while (ready_.size() + making_ < ready_max_) {
    const auto address = range_.take();
    if (!address)
      return;
    ++making_;
    workers_->give([this, address = *address] {
      auto made = network{};
      try {
        made = make(address);
      } catch (const std::system_error&) {
        // The start that needs one makes it itself, and says what is wrong.
      }
      const auto again = std::lock_guard{guard_};
      --making_;
      if (made.fd >= 0)
        ready_.push_back(std::move(made));
      else
        range_.give_back(address);
    });
  }
}

network networks::make(const ipv4& address) {
  auto made = network{};
  made.address = address;
  auto outside = netlink{};
  const auto here = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  // A device of that name can only be what a dead namespace has not yet let go.
  outside.remove(device(address));
  auto problem = std::exception_ptr{};
  // A thread of its own, because a thread that has moved to another namespace is of no use afterwards.
  std::thread{[&] {
    try {
      if (::unshare(CLONE_NEWNET) != 0)
        throw std::system_error{errno, std::system_category(), "cannot make a network namespace"};
      made.fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
      auto inside = netlink{};
      inside.add_veth("eth0", device(address), here);
      inside.set_up(1);
      const auto index = inside.find("eth0").value();
      inside.add_address(index, address);
      inside.set_up(index);
      join_bridge(outside, address);
      inside.add_default_route(range_.gateway());
    } catch (...) {
      problem = std::current_exception();
    }
  }}.join();
  ::close(here);
  if (problem)
    std::rethrow_exception(problem);
  return made;
}

} // namespace novacron::host
