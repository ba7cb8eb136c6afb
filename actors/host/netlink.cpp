#include "actors/host/netlink.hpp"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <system_error>

namespace novacron::host {

std::string to_string(const ipv4& x) {
  auto text = std::array<char, INET_ADDRSTRLEN>{};
  const auto wire = htonl(x.address);
  ::inet_ntop(AF_INET, &wire, text.data(), text.size());
  return text.data();
}

std::optional<ipv4> parse_ipv4(const std::string& text, std::uint8_t prefix) {
  auto wire = in_addr{};
  if (::inet_pton(AF_INET, text.c_str(), &wire) != 1)
    return {};
  return ipv4{ntohl(wire.s_addr), prefix};
}

/// One message to the kernel, built in place. The largest one we send is far below its size.
struct netlink_request {
  alignas(NLMSG_ALIGNTO) std::array<char, 1024> bytes{};

  netlink_request(std::uint16_t type, std::uint16_t flags) {
    header().nlmsg_len = NLMSG_LENGTH(0);
    header().nlmsg_type = type;
    header().nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  }

  nlmsghdr& header() { return *reinterpret_cast<nlmsghdr*>(bytes.data()); }

  template <class T>
  void put(const T& body) {
    std::memcpy(bytes.data() + header().nlmsg_len, &body, sizeof body);
    header().nlmsg_len += static_cast<std::uint32_t>(NLMSG_ALIGN(sizeof body));
  }

  void attribute(std::uint16_t type, const void* data, std::size_t size) {
    const auto head = rtattr{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
    std::memcpy(bytes.data() + header().nlmsg_len, &head, sizeof head);
    if (size > 0)
      std::memcpy(bytes.data() + header().nlmsg_len + RTA_LENGTH(0), data, size);
    header().nlmsg_len += static_cast<std::uint32_t>(RTA_SPACE(size));
  }
  void attribute(std::uint16_t type, const std::string& text) { attribute(type, text.c_str(), text.size() + 1); }
  void attribute(std::uint16_t type, std::uint32_t number) { attribute(type, &number, sizeof number); }

  /// An attribute that holds what `content` puts.
  void nest(std::uint16_t type, const std::function<void()>& content) {
    const auto start = header().nlmsg_len;
    attribute(type, nullptr, 0);
    content();
    const auto length = static_cast<std::uint16_t>(header().nlmsg_len - start);
    std::memcpy(bytes.data() + start, &length, sizeof length);
  }

  /// Sends it and hands every answer to `hear`; throws what the kernel refused.
  void exchange(netlink& line, const std::string& what, const std::function<void(const nlmsghdr&)>& hear = {}) {
    header().nlmsg_flags |= NLM_F_ACK;
    header().nlmsg_seq = ++line.sequence_;
    if (::send(line.fd_, bytes.data(), header().nlmsg_len, 0) < 0)
      throw std::system_error{errno, std::system_category(), what};
    auto block = std::vector<char>(32768);
    for (;;) {
      const auto count = ::recv(line.fd_, block.data(), block.size(), 0);
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        throw std::system_error{errno, std::system_category(), what};
      auto left = static_cast<unsigned>(count);
      for (auto* answer = reinterpret_cast<nlmsghdr*>(block.data()); NLMSG_OK(answer, left);
           answer = NLMSG_NEXT(answer, left)) {
        if (answer->nlmsg_seq != line.sequence_)
          continue;
        if (answer->nlmsg_type == NLMSG_DONE)
          return;
        if (answer->nlmsg_type == NLMSG_ERROR) {
          const auto problem = -static_cast<const nlmsgerr*>(NLMSG_DATA(answer))->error;
          if (problem != 0)
            throw std::system_error{problem, std::system_category(), what};
          return;
        }
        if (hear)
          hear(*answer);
      }
    }
  }
};

netlink::netlink() : fd_{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)} {
  if (fd_ < 0)
    throw std::system_error{errno, std::system_category(), "cannot talk to the kernel about networks"};
}

netlink::~netlink() { ::close(fd_); }

namespace {

std::string name_in(const nlmsghdr& answer) {
  auto left = static_cast<int>(answer.nlmsg_len - NLMSG_LENGTH(sizeof(ifinfomsg)));
  const auto* body = static_cast<const ifinfomsg*>(NLMSG_DATA(const_cast<nlmsghdr*>(&answer)));
  for (const auto* at = IFLA_RTA(body); RTA_OK(at, left); at = RTA_NEXT(at, left))
    if (at->rta_type == IFLA_IFNAME)
      return static_cast<const char*>(RTA_DATA(at));
  return {};
}

} // namespace

std::optional<int> netlink::find(const std::string& name) {
  auto request = netlink_request{RTM_GETLINK, 0};
  request.put(ifinfomsg{});
  request.attribute(IFLA_IFNAME, name);
  auto index = std::optional<int>{};
  try {
    request.exchange(*this, "cannot look for device " + name, [&](const nlmsghdr& answer) {
      index = static_cast<const ifinfomsg*>(NLMSG_DATA(const_cast<nlmsghdr*>(&answer)))->ifi_index;
    });
  } catch (const std::system_error& problem) {
    if (problem.code().value() != ENODEV)
      throw;
  }
  return index;
}

void netlink::add_bridge(const std::string& name) {
  auto request = netlink_request{RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL};
  request.put(ifinfomsg{});
  request.attribute(IFLA_IFNAME, name);
  request.nest(IFLA_LINKINFO, [&] { request.attribute(IFLA_INFO_KIND, std::string{"bridge"}); });
  request.exchange(*this, "cannot make bridge " + name);
}

void netlink::add_veth(const std::string& name, const std::string& peer, int peer_namespace) {
  auto request = netlink_request{RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL};
  request.put(ifinfomsg{});
  request.attribute(IFLA_IFNAME, name);
  request.nest(IFLA_LINKINFO, [&] {
    request.attribute(IFLA_INFO_KIND, std::string{"veth"});
    request.nest(IFLA_INFO_DATA, [&] {
      request.nest(VETH_INFO_PEER, [&] {
        request.put(ifinfomsg{});
        request.attribute(IFLA_IFNAME, peer);
        request.attribute(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_namespace));
      });
    });
  });
  request.exchange(*this, "cannot make the veth pair " + name + ", " + peer);
}

void netlink::set_master(int index, int bridge) {
  auto request = netlink_request{RTM_SETLINK, 0};
  request.put(ifinfomsg{.ifi_index = index});
  request.attribute(IFLA_MASTER, static_cast<std::uint32_t>(bridge));
  request.exchange(*this, "cannot connect a device to its bridge");
}

void netlink::set_up(int index) {
  auto request = netlink_request{RTM_SETLINK, 0};
  request.put(ifinfomsg{.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP});
  request.exchange(*this, "cannot bring a device up");
}

void netlink::add_address(int index, const ipv4& address) {
  auto request = netlink_request{RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL};
  request.put(ifaddrmsg{.ifa_family = AF_INET,
                        .ifa_prefixlen = address.prefix,
                        .ifa_scope = RT_SCOPE_UNIVERSE,
                        .ifa_index = static_cast<std::uint32_t>(index)});
  const auto wire = htonl(address.address);
  request.attribute(IFA_LOCAL, wire);
  request.attribute(IFA_ADDRESS, wire);
  request.exchange(*this, "cannot set the address " + to_string(address));
}

void netlink::add_default_route(const ipv4& gateway) {
  auto request = netlink_request{RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL};
  request.put(rtmsg{.rtm_family = AF_INET,
                    .rtm_table = RT_TABLE_MAIN,
                    .rtm_protocol = RTPROT_STATIC,
                    .rtm_scope = RT_SCOPE_UNIVERSE,
                    .rtm_type = RTN_UNICAST});
  request.attribute(RTA_GATEWAY, htonl(gateway.address));
  request.exchange(*this, "cannot set the route to " + to_string(gateway));
}

void netlink::remove(const std::string& name) {
  auto request = netlink_request{RTM_DELLINK, 0};
  request.put(ifinfomsg{});
  request.attribute(IFLA_IFNAME, name);
  try {
    request.exchange(*this, "cannot remove device " + name);
  } catch (const std::system_error& problem) {
    if (problem.code().value() != ENODEV)
      throw;
  }
}

std::vector<ipv4> netlink::addresses() {
  auto request = netlink_request{RTM_GETADDR, NLM_F_DUMP};
  request.put(ifaddrmsg{.ifa_family = AF_INET});
  auto all = std::vector<ipv4>{};
  request.exchange(*this, "cannot list addresses", [&](const nlmsghdr& answer) {
    auto left = static_cast<int>(answer.nlmsg_len - NLMSG_LENGTH(sizeof(ifaddrmsg)));
    const auto* body = static_cast<const ifaddrmsg*>(NLMSG_DATA(const_cast<nlmsghdr*>(&answer)));
    for (const auto* at = IFA_RTA(body); RTA_OK(at, left); at = RTA_NEXT(at, left))
      if (at->rta_type == IFA_LOCAL) {
        auto wire = std::uint32_t{};
        std::memcpy(&wire, RTA_DATA(at), sizeof wire);
        all.push_back({ntohl(wire), body->ifa_prefixlen});
      }
  });
  return all;
}

std::vector<std::string> netlink::names() {
  auto request = netlink_request{RTM_GETLINK, NLM_F_DUMP};
  request.put(ifinfomsg{});
  auto all = std::vector<std::string>{};
  request.exchange(*this, "cannot list devices", [&](const nlmsghdr& answer) { all.push_back(name_in(answer)); });
  return all;
}

} // namespace novacron::host
