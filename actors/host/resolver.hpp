#pragma once

/// Which name servers what runs here can ask: those of this host that are not on this host's loopback.

#include <string>
#include <vector>

namespace novacron::host {

/// What of resolv.conf(5) matters inside a network of its own.
struct resolver {
  /// IPv4 addresses, at most three as in the C library.
  std::vector<std::string> servers;
  /// The lines "search ..." and "options ...", as they are.
  std::vector<std::string> lines;
};

/// Reads `text` as resolv.conf(5). Servers on loopback and those of IPv6 are left out: the networks that we make have
/// neither.
resolver parse_resolver(const std::string& text);

/// That of this host; where its only server is a local one (systemd-resolved), what that one asks.
resolver find_resolver();

/// As a resolv.conf(5).
std::string to_text(const resolver& x);

} // namespace novacron::host
