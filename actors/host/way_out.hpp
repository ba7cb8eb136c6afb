#pragma once

/// The way out of a bridge: what is on it reaches beyond this host, under the host's own address (RFC 3022,
/// section 2.2).

#include "actors/host/netlink.hpp"

#include <string>

namespace novacron::host {

/// The rules for nft(8) that make a table named as the bridge: packets from `range` go out under the address of the
/// device they leave by; from outside only answers come in. Loading them again replaces the table.
std::string way_out_rules(const std::string& bridge, const ipv4& range);

/// Loads these rules, lets the kernel forward, and lets the bridge pass Docker's rules where those are there. Blocks for
/// some 20 ms. Throws std::system_error that says what this
/// host lacks.
void open_way_out(const std::string& bridge, const ipv4& range);

/// Takes the rules away. With the last bridge of ours (name "nova...") that is gone the kernel forwards only if it did
/// before the first one was there.
void close_way_out(const std::string& bridge);

} // namespace novacron::host
