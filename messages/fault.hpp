#pragma once

/// Everything that can go wrong between two actors, by name.

#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include <cstdint>
#include <string>

namespace novacron {

enum class fault : std::uint8_t {
  unspecified = 1,
  /// The caller named something that does not exist.
  not_found,
  /// Something with that name exists already, or changed in the meantime.
  conflict,
  /// The message makes no sense as it is.
  bad_request,
  /// The caller's role may not say this.
  denied,
  /// The peer cannot be reached right now.
  unreachable,
  /// No answer came in time; whether it was done is not known.
  timeout,
  /// There is more to do than is allowed to wait; try again later.
  overloaded,
  /// The actor is being restarted, or the node is shutting down.
  unavailable,
  /// Another node leads; ask there.
  not_leader,
  /// The disk is full or failed: nothing was written.
  storage,
  /// This host cannot do that.
  unsupported,
  /// A configuration value is outside its range.
  bad_config,
};

/// Says the fault in words an operator understands.
constexpr const char* to_string(fault x) {
  switch (x) {
    case fault::unspecified: return "unspecified";
    case fault::not_found: return "not found";
    case fault::conflict: return "conflict";
    case fault::bad_request: return "bad request";
    case fault::denied: return "denied";
    case fault::unreachable: return "unreachable";
    case fault::timeout: return "timeout";
    case fault::overloaded: return "overloaded";
    case fault::unavailable: return "unavailable";
    case fault::not_leader: return "not the leader";
    case fault::storage: return "storage";
    case fault::unsupported: return "unsupported";
    case fault::bad_config: return "bad configuration";
  }
  return "unnamed fault";
}

/// The fault in `x` and its explanation, whoever made the error: CAF's own time-outs and lost receivers included.
struct fault_text {
  fault kind = fault::unspecified;
  std::string text;
};
fault_text explain(const caf::error& x);

} // namespace novacron

CAF_ERROR_CODE_ENUM(novacron::fault, "novacron")
