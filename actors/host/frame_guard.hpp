#pragma once

/// Reads along the frames that a peer sends over CAF's wire protocol (BASP version 3, CAF 0.17) and judges each header.
///
/// CAF takes whatever an authenticated peer sends: a message for any actor whose number it guesses, a frame to be
/// passed on in another's name, or a header that announces gigabytes. This is where that ends. No sockets and no actors
/// here.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace novacron::host {

/// Where a message from a peer is meant to go.
struct destination {
  std::uint64_t actor = 0;
  /// It answers a request of that actor.
  bool is_answer = false;
};

enum class frame_verdict : std::uint8_t {
  pass,
  /// Read it, and forget it.
  drop,
  /// No honest peer sends this: the connection ends.
  cut,
};

struct frame_finding {
  frame_verdict what = frame_verdict::pass;
  /// Bytes that follow the header.
  std::size_t payload = 0;
  /// In a word, why it does not pass; empty when that needs no counting.
  std::string_view why = {};
};

/// The size of each header.
constexpr auto frame_header_bytes = std::size_t{32};

/// Judges one header of `frame_header_bytes`. `reaches` says whether this peer may reach a destination.
frame_finding judge_frame(std::string_view header, std::size_t payload_max,
                          const std::function<bool(const destination&)>& reaches);

} // namespace novacron::host
