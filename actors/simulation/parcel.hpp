#pragma once

/// A message on its way from one life to another.

#include <caf/actor_control_block.hpp>
#include <caf/error.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message.hpp>
#include <caf/message_id.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

namespace novacron::simulation {

/// Nanoseconds since the world began.
using moment = std::chrono::nanoseconds;

/// Numbers the lives of hosts: each restart of a host is another life. 0 is the world itself.
using life_number = std::uint32_t;

struct parcel {
  enum class kind : std::uint8_t { message, down };
  kind what = kind::message;
  life_number from = 0;
  life_number to = 0;
  /// The connection it travels on, and how often that was opened before.
  void* line = nullptr;
  std::uint32_t opened = 0;
  std::uint64_t sender = 0;
  std::uint64_t receiver = 0;
  /// The message as it was sent, without its sender; null when it travels as bytes. Nothing of it has to be made again.
  caf::mailbox_element_ptr whole;
  /// As on the wire, and what it was asked as.
  std::vector<char> bytes;
  caf::message_id mid;
  caf::error reason;
  std::uint32_t size = 0;
};

} // namespace novacron::simulation
