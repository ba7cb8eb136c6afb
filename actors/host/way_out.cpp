#include "actors/host/way_out.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>
#include <vector>

namespace novacron::host {
namespace {

constexpr auto forwarding = "/proc/sys/net/ipv4/ip_forward";
/// An empty table that is there while the kernel forwards because of us. It is the host's state, and goes with it.
constexpr auto mark = "novacron_forwarding";

/// Throws when nft is not there or does not take it.
void load(const std::string& rules) {
  const auto said = run({.argv = {"nft", "-f", "-"}}, std::chrono::seconds{10}, rules);
  if (said.how.code != 0)
    throw std::system_error{ENOTSUP, std::system_category(),
                            "nft refuses the rules: " + said.err.substr(0, said.err.find('\n'))};
}

bool has_table(const std::string& name) {
  return run({.argv = {"nft", "list", "table", "ip", name}}, std::chrono::seconds{10}).how.code == 0;
}

/// Docker drops what is forwarded and not its own; what its administrators let pass stands in a chain that it made for
/// them (https://docs.docker.com/engine/network/packet-filtering-firewalls/). Through its own tool: rules that nft adds
/// there can make the table unreadable for it.
void pass_docker(const std::string& bridge, bool open) {
  using words = std::vector<std::string>;
  const auto ask = [](words arguments) {
    arguments.insert(arguments.begin(), {"iptables", "-w", "5"});
    try {
      return run({.argv = std::move(arguments)}, std::chrono::seconds{10}).how.code == 0;
    } catch (const std::system_error&) {
      // There is no iptables, and so no Docker.
      return false;
    }
  };
  constexpr auto chain = "DOCKER-USER";
  if (!ask({"-n", "-L", chain}))
    return;
  for (const auto& rule : {words{"-o", bridge, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"},
                           words{"-i", bridge, "-j", "ACCEPT"}}) {
    const auto with = [&](const char* action) {
      auto arguments = words{action, chain};
      arguments.insert(arguments.end(), rule.begin(), rule.end());
      return ask(std::move(arguments));
    };
    const auto there = with("-C");
    if (open && !there && !with("-I"))
      throw std::system_error{ENOTSUP, std::system_category(), "iptables does not let the bridge pass Docker's rules"};
    if (!open && there)
      with("-D");
  }
}

void forward(bool on) {
  const auto fd = ::open(forwarding, O_WRONLY | O_CLOEXEC);
  const auto done = fd >= 0 && ::write(fd, on ? "1\n" : "0\n", 2) == 2;
  const auto problem = errno;
  if (fd >= 0)
    ::close(fd);
  if (!done)
    throw std::system_error{problem, std::system_category(), std::string{"cannot write "} + forwarding};
}

} // namespace

std::string way_out_rules(const std::string& bridge, const ipv4& range) {
  constexpr auto pattern = R"(table ip {0}
delete table ip {0}
table ip {0} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{0}" accept
    oifname "{0}" ct state established,related accept
    oifname "{0}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {1}/{2} oifname != "{0}" masquerade
  }}
}}
)";
  return fmt::format(pattern, bridge, to_string(range), range.prefix);
}

void open_way_out(const std::string& bridge, const ipv4& range) {
  load(way_out_rules(bridge, range));
  pass_docker(bridge, true);
  if (read_file(forwarding, 1) == "1")
    return;
  load(fmt::format("table ip {}\n", mark));
  forward(true);
}

void close_way_out(const std::string& bridge) {
  pass_docker(bridge, false);
  if (has_table(bridge))
    load(fmt::format("delete table ip {}\n", bridge));
  const auto names = netlink{}.names();
  const auto others = std::ranges::any_of(names, [](const std::string& x) { return x.starts_with("nova"); });
  if (others || !has_table(mark))
    return;
  forward(false);
  load(fmt::format("delete table ip {}\n", mark));
}

} // namespace novacron::host
