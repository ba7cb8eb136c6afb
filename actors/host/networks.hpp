#pragma once

/// Network namespaces on a bridge of this node, a few of them kept ready.
///
/// A namespace lives by its descriptors and processes only (nothing is mounted), so none can be left behind: with the
/// last process in it the namespace and its veth pair are gone.

#include "actors/host/crew.hpp"
#include "actors/host/netlink.hpp"

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace novacron::host {

/// A namespace with `lo` and `eth0` up. Dropping it lets the namespace go once nobody else is in it.
struct network {
  int fd = -1;
  ipv4 address;

  network() = default;
  network(network&& other) noexcept;
  network& operator=(network&& other) noexcept;
  ~network();
};

/// The 1022 addresses of a bridge: which one is given out next. The first is the bridge's own.
class address_range {
public:
  /// The network that a node with that tag uses, one of 4096 /22 below 10.64.0.0/10.
  static ipv4 choose(std::uint32_t tag, const std::vector<ipv4>& in_use);

  explicit address_range(ipv4 base) : base_{base} {}
  [[nodiscard]] ipv4 gateway() const { return {base_.address + 1, base_.prefix}; }
  /// The lowest free address that is not `gateway`; nothing when all are given out.
  std::optional<ipv4> take();
  /// False if it is given out already or not of this range.
  bool take(const ipv4& address);
  void give_back(const ipv4& address) { taken_.erase(address.address); }
  [[nodiscard]] bool is_taken(const ipv4& address) const { return taken_.contains(address.address); }

private:
  ipv4 base_;
  std::set<std::uint32_t> taken_;
};

/// All functions may be called from any thread; they block for milliseconds at most.
class networks {
public:
  /// `tag` tells nodes on one machine apart; bridge and devices are named after it.
  networks(std::uint32_t tag, ipv4 base, unsigned ready);
  /// Removes the bridge, and the way out of it, unless a container of ours is still on it. Waits a moment for devices
  /// of containers that are gone: the kernel takes a namespace down after its last process.
  ~networks();

  /// Lets what is on the bridge reach beyond this host. Blocks for some 20 ms. Throws std::system_error when this host
  /// cannot.
  void open_way_out() const;
  /// Takes away what a former life opened. Throws std::system_error.
  void close_way_out() const;

  /// Says that `address` belongs to an instance that is there already.
  void claim(const ipv4& address);
  /// Makes namespaces ahead from now on. Not before all that is there was claimed: one would be made at the address of
  /// a container that runs, and take its device away.
  void begin();
  /// A namespace; with `wanted` one with that address. Throws std::system_error.
  network take(std::optional<ipv4> wanted = {});
  /// A device on the bridge for what brings its own end, such as a virtual machine: the device is there for as long as
  /// somebody has the descriptor `fd`, on which the frames are. Throws std::system_error.
  network attach(std::optional<ipv4> wanted = {});
  /// The bridge's own address, through which everything else is reached.
  [[nodiscard]] ipv4 gateway() const { return range_.gateway(); }
  /// The address may be given out again.
  void give_back(const ipv4& address);

  [[nodiscard]] std::string bridge() const;

private:
  void ensure_bridge();
  network make(const ipv4& address);
  void join_bridge(netlink& line, const ipv4& address) const;
  void refill();
  [[nodiscard]] bool await_empty(netlink& line) const;
  [[nodiscard]] std::string device(const ipv4& address) const;

  const std::uint32_t tag_;
  const ipv4 base_;
  const unsigned ready_max_;
  std::mutex guard_;
  address_range range_;
  std::vector<network> ready_;
  unsigned making_ = 0;
  std::unique_ptr<crew> workers_ = std::make_unique<crew>(1);
};

} // namespace novacron::host
