#pragma once

/// The target's half of one stream: does to the memory what frames say. What comes may be made by an enemy: nothing
/// outside the stream's pages is written, and what is wrong ends the stream.

#include "actors/migration/block_coder.hpp"
#include "actors/migration/frame.hpp"
#include "actors/migration/greeting.hpp"
#include "actors/migration/guest.hpp"
#include "actors/migration/page_frame.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace novacron::migration {

/// Used by one thread at a time.
class page_receiver {
public:
  /// The guest's memory is zero to begin with, and outlives this.
  page_receiver(target_guest& guest, const page_scope& scope);

  /// Throws migration_error. Not for the hello.
  void apply(const frame& x);
  /// The devices' state, so far.
  std::span<const std::byte> state() const { return state_; }
  /// The last pass is over, and so is the stream: nothing but words comes any more.
  bool complete() const { return ended_; }
  std::uint32_t pass_count() const { return pass_count_; }

private:
  void apply_pages(const frame& x);
  void apply_record(const page_record& x);
  void apply_barrier(const frame& x);
  void apply_blocks(std::uint64_t number, std::uint64_t count);
  std::span<std::byte> page(std::uint64_t number) const;

  target_guest& guest_;
  std::span<std::byte> memory_;
  page_scope scope_;
  block_decoder decoder_;
  page_frame frame_;
  /// Of the frame's blocks: the next one, and what is left of the one before it.
  std::size_t block_ = 0;
  std::span<const std::byte> left_;
  /// Pages that something was said of: the others are zero, and need no memory to stay so.
  std::vector<std::uint8_t> said_;
  std::vector<std::byte> state_;
  std::uint32_t pass_count_ = 0;
  bool last_over_ = false;
  bool ended_ = false;
};

/// Chosen: the devices of a guest have some hundred KiB; its screen some MiB.
inline constexpr auto state_bytes_max = std::size_t{64} << 20;

} // namespace novacron::migration
