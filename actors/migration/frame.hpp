#pragma once

/// The frames of which a stream of a migration consists; doc/migration.md describes every byte.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace novacron::migration {

/// From the source: hello, pages, barrier, end, state (of the devices), run. From the target: applied, ready, running,
/// refused.
enum class frame_kind : std::uint8_t {
  hello = 1,
  pages = 2,
  barrier = 3,
  end = 4,
  state = 5,
  run = 6,
  applied = 7,
  ready = 8,
  running = 9,
  refused = 10,
};

inline constexpr auto frame_head = std::size_t{32};
inline constexpr auto frame_version = std::uint8_t{1};
/// Required: a receiver sets this much aside for each stream. 512 pages as they are, and their entries.
inline constexpr auto frame_payload_max = std::size_t{4} << 20;

struct frame {
  frame_kind kind = frame_kind::end;
  /// Of `pages`: how many records; otherwise 0.
  std::uint32_t count = 0;
  std::span<const std::byte> payload;
};

enum class frame_fault : std::uint8_t {
  none,
  /// No fault: more bytes are needed.
  unfinished,
  not_a_frame,
  other_version,
  unknown_kind,
  too_large,
  other_stream,
  out_of_sequence,
  damaged,
};

/// A sentence for the operator.
std::string_view describe(frame_fault x);

/// Numbers the frames of one stream. Not shared by threads.
class frame_writer {
public:
  explicit frame_writer(std::uint16_t stream) : stream_{stream} {}
  /// `whole` is frame_head bytes of room with the payload behind them, at most frame_payload_max; fills in the head.
  void seal(frame_kind kind, std::uint32_t count, std::span<std::byte> whole);

private:
  std::uint16_t stream_;
  std::uint64_t sequence_ = 0;
};

/// Takes the frames of one stream apart. What came may have been made by an enemy.
class frame_reader {
public:
  explicit frame_reader(std::uint16_t stream) : stream_{stream} {}
  /// Reads the frame at the begin of `bytes`, which it refers to; it is size_of(it) bytes long. After a fault the
  /// stream is of no use, and every call answers it again.
  frame_fault next(std::span<const std::byte> bytes, frame& into);
  static std::size_t size_of(const frame& x) { return frame_head + x.payload.size(); }

private:
  frame_fault judge(std::span<const std::byte> bytes, frame& into) const;

  std::uint16_t stream_;
  std::uint64_t sequence_ = 0;
  frame_fault fault_ = frame_fault::none;
};

} // namespace novacron::migration
