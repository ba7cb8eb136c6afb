#include "actors/host/way_out.hpp"

#include "actors/host/files.hpp"
#include "actors/host/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

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
  if (read_file(forwarding, 1) == "1")
    return;
  load(fmt::format("table ip {}\n", mark));
  forward(true);
}

void close_way_out(const std::string& bridge) {
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
