#include "actors/migration/frame.hpp"

#include "kernels/checksum.hpp"
#include "kernels/page.hpp"

#include <stdexcept>

namespace novacron::migration {
namespace {

using kernels::load;
using kernels::store;

/// "NVMF", as it stands on the wire.
constexpr auto magic = std::uint32_t{0x464D564E};

// Where the fields of a head are.
constexpr auto version_at = std::size_t{4};
constexpr auto kind_at = std::size_t{5};
constexpr auto stream_at = std::size_t{6};
constexpr auto size_at = std::size_t{8};
constexpr auto count_at = std::size_t{12};
constexpr auto sequence_at = std::size_t{16};
constexpr auto checksum_at = std::size_t{24};

std::uint64_t checksum_of(std::span<const std::byte> whole) {
  return kernels::checksum(whole.subspan(frame_head), kernels::checksum(whole.first(checksum_at)));
}

} // namespace

std::string_view describe(frame_fault x) {
  switch (x) {
    case frame_fault::none: return "the frame is good";
    case frame_fault::unfinished: return "the frame is not there yet as a whole";
    case frame_fault::not_a_frame: return "these bytes are no frame";
    case frame_fault::other_version: return "the frame is of another version than 1";
    case frame_fault::unknown_kind: return "the frame is of a kind that nobody knows";
    case frame_fault::too_large: return "the frame is larger than frames may be";
    case frame_fault::other_stream: return "the frame belongs to another stream";
    case frame_fault::out_of_sequence: return "a frame before this one is missing";
    case frame_fault::damaged: return "the frame was damaged on the way";
  }
  return "the frame has a fault that has no name";
}

void frame_writer::seal(frame_kind kind, std::uint32_t count, std::span<std::byte> whole) {
  if (whole.size() < frame_head || whole.size() > frame_head + frame_payload_max)
    throw std::length_error{"a frame's payload has at most 4 MiB"};
  auto* const head = whole.data();
  store(head, magic);
  store(head + version_at, frame_version);
  store(head + kind_at, kind);
  store(head + stream_at, stream_);
  store(head + size_at, static_cast<std::uint32_t>(whole.size() - frame_head));
  store(head + count_at, count);
  store(head + sequence_at, sequence_++);
  store(head + checksum_at, checksum_of(whole));
}

frame_fault frame_reader::next(std::span<const std::byte> bytes, frame& into) {
  if (fault_ != frame_fault::none)
    return fault_;
  const auto found = judge(bytes, into);
  if (found == frame_fault::none)
    ++sequence_;
  else if (found != frame_fault::unfinished)
    fault_ = found;
  return found;
}

// Each field is looked at before the payload is waited for: nonsense is refused at once.
frame_fault frame_reader::judge(std::span<const std::byte> bytes, frame& into) const {
  if (bytes.size() < frame_head)
    return frame_fault::unfinished;
  const auto* const head = bytes.data();
  if (load<std::uint32_t>(head) != magic)
    return frame_fault::not_a_frame;
  if (load<std::uint8_t>(head + version_at) != frame_version)
    return frame_fault::other_version;
  const auto kind = load<std::uint8_t>(head + kind_at);
  if (kind < static_cast<std::uint8_t>(frame_kind::hello) || kind > static_cast<std::uint8_t>(frame_kind::refused))
    return frame_fault::unknown_kind;
  if (load<std::uint16_t>(head + stream_at) != stream_)
    return frame_fault::other_stream;
  const auto size = std::size_t{load<std::uint32_t>(head + size_at)};
  if (size > frame_payload_max)
    return frame_fault::too_large;
  if (load<std::uint64_t>(head + sequence_at) != sequence_)
    return frame_fault::out_of_sequence;
  if (bytes.size() - frame_head < size)
    return frame_fault::unfinished;
  const auto whole = bytes.first(frame_head + size);
  if (load<std::uint64_t>(head + checksum_at) != checksum_of(whole))
    return frame_fault::damaged;
  into = {.kind = static_cast<frame_kind>(kind),
          .count = load<std::uint32_t>(head + count_at),
          .payload = whole.subspan(frame_head)};
  return frame_fault::none;
}

} // namespace novacron::migration
