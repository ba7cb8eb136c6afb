#pragma once

/// Network devices of the kernel, by rtnetlink: bridges, veth pairs, addresses, routes.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace novacron::host {

/// An IPv4 address in host byte order, and how many of its bits name the network.
struct ipv4 {
  std::uint32_t address = 0;
  std::uint8_t prefix = 32;
  auto operator<=>(const ipv4&) const = default;
};
/// "10.64.0.2".
std::string to_string(const ipv4& x);
std::optional<ipv4> parse_ipv4(const std::string& text, std::uint8_t prefix = 32);

/// A netlink socket, in the network namespace of the thread that made it and for ever.
/// What the kernel refuses throws std::system_error.
class netlink {
public:
  netlink();
  ~netlink();
  netlink(const netlink&) = delete;
  netlink& operator=(const netlink&) = delete;

  /// The index of the device, nothing if there is none.
  std::optional<int> find(const std::string& name);
  void add_bridge(const std::string& name);
  /// A pair whose one end is `name` here and whose other is `peer` in the namespace that `peer_namespace` is open on.
  void add_veth(const std::string& name, const std::string& peer, int peer_namespace);
  void set_master(int index, int bridge);
  void set_up(int index);
  void add_address(int index, const ipv4& address);
  void add_default_route(const ipv4& gateway);
  /// No error if there is none.
  void remove(const std::string& name);
  /// The addresses of all devices here.
  std::vector<ipv4> addresses();
  /// The names of all devices here.
  std::vector<std::string> names();

private:
  int fd_ = -1;
  std::uint32_t sequence_ = 0;

  friend struct netlink_request;
};

} // namespace novacron::host
