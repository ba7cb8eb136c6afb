#pragma once

/// One end of a stream: frames out, frames in.

#include "actors/migration/channel.hpp"
#include "actors/migration/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace novacron::migration {

/// Used by one thread at a time, but for close(). All functions but that throw migration_error when the stream is of no
/// use any more.
class frame_port {
public:
  /// Frames of this stream; the longest payload that comes in is `payload_max`.
  frame_port(std::unique_ptr<channel> way, std::uint16_t stream, std::size_t payload_max = frame_payload_max);
  /// Of the stream that identify() will find out.
  explicit frame_port(std::unique_ptr<channel> way) : frame_port{std::move(way), 0} {}

  /// Waits for the first frame, which stays to be read: this port belongs to its stream.
  void identify();

  std::uint16_t stream() const { return stream_; }
  void send(frame_kind kind, std::span<const std::byte> payload = {});
  /// `whole` has frame_head bytes of room before the payload.
  void send(frame_kind kind, std::uint32_t count, std::span<std::byte> whole);
  /// The next frame, valid until the next call.
  frame receive();
  /// Whether something came that receive() could begin with.
  bool readable() { return begin_ < end_ || way_->readable(); }
  std::optional<link_look> look() { return way_->look(); }
  void close() noexcept { way_->close(); }

private:
  void read_more();

  std::unique_ptr<channel> way_;
  std::uint16_t stream_;
  frame_writer writer_;
  frame_reader reader_;
  std::vector<std::byte> small_;
  /// What came and was not looked at is from begin_ to end_.
  std::vector<std::byte> came_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

} // namespace novacron::migration
