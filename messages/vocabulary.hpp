#pragma once

/// The words every message is made of.

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace novacron {

/// A name that cannot be mistaken for another kind of name.
template <class Kind>
struct name {
  std::string text;
  auto operator<=>(const name&) const = default;
};

using node_name = name<struct node_kind>;
using workload_name = name<struct workload_kind>;
using instance_name = name<struct instance_kind>;

using instant = std::chrono::steady_clock::time_point;
using duration = std::chrono::nanoseconds;

/// The version that peers compare in their hello; raised when a message changes its meaning.
constexpr std::uint32_t protocol_version = 1;

/// No message that an actor sends may be larger; more goes over the bulk plane.
constexpr std::size_t message_bytes_max = 1u << 20;

} // namespace novacron
